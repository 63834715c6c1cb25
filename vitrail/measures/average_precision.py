"""How pure the top of a ranking is: average precision, for two classes and for many."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.measures.intervals import (
    NO_SPREAD,
    Measure,
    affordable_resamples,
    bootstrapped,
    cluster_bootstrap,
    wilson_limits,
)


def average_precision(
    labels: Int[np.ndarray, "N"],
    probabilities: Float[np.ndarray, "N K"],
    *,
    classes: Sequence[str],
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Measure:
    """The mean, over the images of a class, of the precision among all images that are ranked at least as high.

    With two classes it is that of the second one; with more, the mean over the classes that have images. Unlike the
    area under the ROC curve it depends on how frequent a class is: guessing scores the class's share. Images with equal
    scores enter together. The interval is a (cluster) bootstrap of what each image changes about it to first order.
    Where resampling changes nothing (a perfect ranking), the limits are Wilson's for as many trials as the class has
    images or groups, averaged over classes.

    Args:
        labels: class numbers.
        probabilities: higher for more likely.
        classes: names, in the order of the columns.
        groups: the patient of each image, numbered from 0 without gaps.
        seed: of the bootstrap.

    Source: scikit-learn's `average_precision_score`, which has the same value (pytorch-ood's AUPR joins the points by
    lines, which is too hopeful); for the linearised bootstrap,
    A. C. Davison and D. V. Hinkley (1997), Bootstrap Methods and their Application, section 2.7.

    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]])
    >>> round(average_precision(np.array([0, 0, 1, 1]), scores, classes=["well", "ill"]).value, 4)
    0.8333
    """
    N, K = probabilities.shape
    of = "average precision" if K == 2 else "average precision, mean over classes"
    measure = Measure(of, None, N, scale="number")
    asked = [1] if K == 2 else range(K)
    owns = {number: labels == number for number in asked if (labels == number).any()}
    if not owns or K < 2:
        why = f"no image of class {classes[1]!r}" if K == 2 and N else "there is one class only"
        return replace(measure, undefined_because=why if N else "there are no images")
    parts = [_influence(own, probabilities[:, number].astype(np.float64)) for number, own in owns.items()]
    value = float(np.mean([part[0] for part in parts]))
    influence = np.mean([part[1] for part in parts], axis=0)
    clusters = np.arange(N) if groups is None else groups
    replicates = cluster_bootstrap(
        lambda weights: value + weights @ influence / weights.sum(1),
        clusters,
        seed=seed,
        resamples=affordable_resamples(N),
    )
    measure = bootstrapped(replace(measure, value=value), np.clip(replicates, 0, 1), clusters=clusters)
    if measure.low is None or measure.high is None or measure.high - measure.low >= NO_SPREAD:
        return measure
    limits = [
        wilson_limits(part[0], len(np.unique(clusters[own]))) for part, own in zip(parts, owns.values(), strict=True)
    ]
    low, high = map(float, np.mean(limits, axis=0))
    return replace(measure, low=low, high=high, method="Wilson" if K == 2 else "Wilson, mean over classes")


def _influence(positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"]) -> tuple[float, Float[np.ndarray, "N"]]:
    """Average precision, and N times its derivative by the weight of each image."""
    values, tie = np.unique(-scores, return_inverse=True)
    size = len(values)
    positives = np.bincount(tie, weights=positive, minlength=size)
    above, right = np.cumsum(np.bincount(tie, minlength=size)).astype(np.float64), np.cumsum(positives)
    precision, P = right / above, float(positive.sum())
    value = float(positives @ precision) / P
    # An image is counted in the precision of every positive image that is ranked as high as it or lower.
    gained = np.cumsum((positives / above)[::-1])[::-1]
    lost = np.cumsum((positives * right / above**2)[::-1])[::-1]
    derivative = (positive * (precision + gained - value)[tie] - lost[tie]) / P
    return value, len(scores) * derivative
