"""How well scores rank images: the area under the ROC curve, for two classes and for many."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, logit

from vitrail.measures.intervals import (
    NO_SPREAD,
    Measure,
    Statistic,
    affordable_resamples,
    bootstrapped,
    cluster_bootstrap,
    normal_quantile,
    ratio,
)

LINEAR_ABOVE = 20_000
"""Number of scores (images times classes) above which resampled AUCs are computed from their influence values."""


def roc_auc(
    positive: Bool[np.ndarray, "N"],
    scores: Float[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> Measure:
    """The probability that a positive image scores higher than a negative one; ties count half.

    The interval is DeLong's on the logit scale, which stays inside [0, 1]. Where DeLong's variance is zero or
    unknown (perfect ranking, all scores equal, a single image of a class) it is Newcombe's, which at AUC = 1 gives a
    lower limit below 1. With `groups` it is a cluster bootstrap. Undefined when one of the two classes is absent.

    Args:
        positive: which images belong to the positive class.
        scores: any numbers, higher for more likely positive.
        groups: the patient of each image, numbered from 0 without gaps.

    Source: E. R. DeLong et al. (1988), Biometrics 44, p. 837; logit as in M. S. Pepe (2003), section 5.2;
    R. G. Newcombe (2006), Statistics in Medicine 25, p. 559, method 5.

    >>> roc_auc(np.array([True, True, False]), np.array([0.9, 0.4, 0.5])).value
    0.5
    """
    measure = Measure("ROC AUC", None, len(positive), level=level, scale="number")
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        missing = "positive" if not positives else "negative"
        return replace(measure, undefined_because=f"there is no {missing} image")
    wins = _wins(positive, scores)
    value = float(wins[positive].mean())
    measure = replace(measure, value=value)
    if groups is not None:
        order = np.argsort(scores, kind="stable")  # once, not for every resample
        statistic, resamples = _auc_of_sorted(positive[order], scores[order]), affordable_resamples(len(positive))
        replicates = cluster_bootstrap(statistic, groups[order], seed=seed, resamples=resamples)
        measure = bootstrapped(measure, replicates, clusters=groups)
        if _without_spread(measure):
            sizes = len(np.unique(groups[positive])), len(np.unique(groups[~positive]))
            low, high = newcombe_limits(value, *sizes, level=level)
            measure = replace(measure, low=low, high=high, method="Newcombe on groups")
        return measure
    low, high, method = _independent_limits(value, wins, positive, level=level)
    return replace(measure, low=low, high=high, method=method)


def macro_roc_auc(
    labels: Int[np.ndarray, "N"],
    probabilities: Float[np.ndarray, "N K"],
    *,
    classes: Sequence[str],
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Measure:
    """The mean over classes of each class's ROC AUC against all others, with a (cluster) bootstrap interval.

    Undefined when a class has no image. In a resample that happens to lack a class, the mean is over the others.
    When resampling changes nothing (perfect ranking, equal scores), the limits are the mean of Newcombe's limits of
    the classes. For more than 20,000 scores the mean is linearised before it is resampled, which takes a second
    instead of minutes.

    Source: for the linearised statistic, A. C. Davison and D. V. Hinkley (1997), section 2.7.
    """
    N, K = probabilities.shape
    measure = Measure("ROC AUC, mean over classes", None, N, scale="number")
    belongs = labels[:, None] == np.arange(K)
    absent = [name for name, count in zip(classes, belongs.sum(0), strict=True) if count == 0]
    if absent or K < 2:
        shown = ", ".join(map(repr, absent[:5])) + (", …" if len(absent) > 5 else "")
        why = f"no image of class {shown}" if absent else "there is one class only"
        return replace(measure, undefined_because=why)

    statistic = _mean_auc(belongs, probabilities)
    if N * K > LINEAR_ABOVE:
        statistic = _linear_mean_auc(belongs, probabilities)
    value = float(_mean_auc(belongs, probabilities)(np.ones((1, N)))[0])
    clusters = np.arange(N) if groups is None else groups
    replicates = cluster_bootstrap(statistic, clusters, seed=seed, resamples=affordable_resamples(N))
    measure = bootstrapped(replace(measure, value=value), np.clip(replicates, 0, 1), clusters=clusters)
    if not _without_spread(measure):
        return measure
    limits = [
        newcombe_limits(value, len(np.unique(clusters[own])), len(np.unique(clusters[~own]))) for own in belongs.T
    ]
    low, high = map(float, np.mean(limits, axis=0))
    return replace(measure, low=low, high=high, method="Newcombe, mean over classes")


def auc_pseudo_values(labels: Int[np.ndarray, "N"], probabilities: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N"]:
    """Every image's part in the AUC, the mean over classes of each against all others: their mean is that AUC.

    The AUC of images drawn with replacement is, to first order, the mean of their pseudo-values; so the AUCs of two
    models on the same images can be compared image by image, as losses are. Values may lie outside [0, 1]: those of a
    rare class's images weigh much.

    Args:
        labels: class numbers; each of the K classes has an image, and there are two classes or more.
        probabilities: (N, K), higher for more likely; for two classes either column ranks alike.

    Source: E. R. DeLong et al. (1988), Biometrics 44, p. 837, of which they are the structural components;
    A. C. Davison and D. V. Hinkley (1997), section 2.7.

    >>> auc_pseudo_values(np.array([1, 1, 0]), np.array([[0.1, 0.9], [0.6, 0.4], [0.5, 0.5]]))
    array([ 1.25, -0.25,  0.5 ])
    """
    value, influence = _influence(labels[:, None] == np.arange(probabilities.shape[1]), probabilities)
    return value + len(labels) * influence


def _without_spread(measure: Measure) -> bool:
    return measure.low is not None and measure.high is not None and measure.high - measure.low < NO_SPREAD


def newcombe_limits(auc: float, positives: int, negatives: int, *, level: float = 0.95) -> tuple[float, float]:
    """Limits of an AUC from the class sizes alone: the values whose own standard error just reaches it.

    Solves |AUC - t| = z sqrt(V(t)) with Hanley and McNeil's variance V under exponential scores, both class sizes
    in its numerator replaced by their mean.

    Source: R. G. Newcombe (2006), Statistics in Medicine 25, p. 559, method 5.
    """
    z, size = normal_quantile(level), (positives + negatives) / 2

    def too_far(t: float) -> bool:
        spread = (1 - t) / (2 - t) + t / (1 + t)
        return abs(auc - t) > z * math.sqrt(t * (1 - t) * (1 + (size - 1) * spread) / (positives * negatives))

    def edge(far: float) -> float:
        near = auc
        for _ in range(60):
            middle = (near + far) / 2
            near, far = (near, middle) if too_far(middle) else (middle, far)
        return near

    return (edge(0.0) if auc > 0 else 0.0), (edge(1.0) if auc < 1 else 1.0)


def _independent_limits(
    auc: float, wins: Float[np.ndarray, "N"], positive: Bool[np.ndarray, "N"], *, level: float
) -> tuple[float, float, str]:
    above, below = wins[positive], wins[~positive]
    if min(len(above), len(below)) > 1:
        variance = float(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
        if 0 < auc < 1 and variance > 0:
            half = normal_quantile(level) * math.sqrt(variance) / (auc * (1 - auc))
            return float(expit(logit(auc) - half)), float(expit(logit(auc) + half)), "DeLong"
    return *newcombe_limits(auc, len(above), len(below), level=level), "Newcombe"


def _mean_auc(belongs: Bool[np.ndarray, "N K"], probabilities: Float[np.ndarray, "N K"]) -> Statistic:
    def statistic(weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, "R"]:
        columns = zip(belongs.T, probabilities.T, strict=True)
        aucs = np.stack([_weighted_auc(weights, own, scores) for own, scores in columns])
        defined = np.isfinite(aucs).sum(0).astype(np.float64)
        return ratio(np.nansum(aucs, axis=0), defined)

    return statistic


def _linear_mean_auc(belongs: Bool[np.ndarray, "N K"], probabilities: Float[np.ndarray, "N K"]) -> Statistic:
    """The mean AUC plus what each image, drawn once more or once less, changes about it to first order."""
    value, influence = _influence(belongs, probabilities)
    return lambda weights: value + weights @ influence


def _influence(
    belongs: Bool[np.ndarray, "N K"], probabilities: Float[np.ndarray, "N K"]
) -> tuple[float, Float[np.ndarray, "N"]]:
    """The mean AUC, and what each image changes about it."""
    value, influence = 0.0, np.zeros(len(belongs))
    K = belongs.shape[1]
    for own, scores in zip(belongs.T, probabilities.T, strict=True):
        wins = _wins(own, scores)
        auc = float(wins[own].mean())
        value += auc / K
        influence += (wins - auc) / np.where(own, own.sum(), (~own).sum()) / K
    return value, influence


def _wins(positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """For each image, the share of the other class that it is ranked rightly against (DeLong's V10 and V01)."""
    _, tie = np.unique(scores, return_inverse=True)
    size = int(tie.max()) + 1
    own = np.bincount(tie[positive], minlength=size), np.bincount(tie[~positive], minlength=size)
    lower = [np.cumsum(counts) - counts / 2 for counts in own]
    share_of_negatives_below = lower[1][tie] / own[1].sum()
    share_of_positives_above = 1 - lower[0][tie] / own[0].sum()
    return np.where(positive, share_of_negatives_below, share_of_positives_above)


def _weighted_auc(
    weights: Float[np.ndarray, "R N"], positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "R"]:
    """The AUC of each resample; NaN where one lacks a class."""
    order = np.argsort(scores, kind="stable")
    return _auc_of_sorted(positive[order], scores[order])(weights[:, order])


def _auc_of_sorted(positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"]) -> Statistic:
    """From weights of images in ascending order of their scores to the AUC of each resample; NaN without both classes.

    Weights are counts, so that all sums are exact.
    """
    starts = np.flatnonzero(np.diff(scores, prepend=-np.inf))
    tied = len(starts) < len(scores)

    def statistic(weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, "R"]:
        of_positives = weights * positive
        of_negatives = weights - of_positives
        if tied:
            of_positives, of_negatives = (
                np.add.reduceat(each, starts, axis=1) for each in (of_positives, of_negatives)
            )
        lower = np.cumsum(of_negatives, axis=1)
        all_negatives = lower[:, -1].copy()
        if tied:  # else a score has images of one class, and either is 0
            lower -= of_negatives / 2
        won = np.einsum("rn,rn->r", of_positives, lower)
        return ratio(won, of_positives.sum(1) * all_negatives)

    return statistic
