"""Answering only when sure: how much more often a model is right on the images that it is surest of."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.measures.intervals import Measure, affordable_resamples, bootstrapped, cluster_bootstrap
from vitrail.measures.means import share

COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Shares of images that are answered, of which the accuracy is told."""


@dataclass(frozen=True)
class Answering:
    """What comes of answering only where the largest probability is `least_probability` or more.

    `coverage` is the share of images that is answered: at least the one that was asked for, more where several images
    are equally sure.
    """

    least_probability: float
    coverage: float
    accuracy: Measure


@dataclass(frozen=True)
class Selective:
    """Accuracy against the share of images that are answered, the surest first.

    `risk` is the share of wrong answers, averaged over all shares of answered images (AURC): 0 is a model that is never
    wrong; one whose confidence says nothing has its error rate.
    """

    risk: Measure
    points: tuple[Answering, ...]

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def selective(
    right: Bool[np.ndarray, "N"],
    confidence: Float[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
    coverages: Sequence[float] = COVERAGES,
) -> Selective:
    """What a model gains by answering only when it is sure.

    Args:
        right: whether each answer is right.
        confidence: of each answer, usually its probability.
        groups: the patient of each image, numbered from 0 without gaps.
        seed: of the bootstrap.
        coverages: shares of images, above 0 and up to 1.

    Source: Y. Geifman and R. El-Yaniv (2017), Selective Classification for Deep Neural Networks; the area is the mean
    of the cumulative risks, of equally sure images in the mean over all orders that they could stand in. It is 1 less
    pytorch-ood's `aurra`, which takes equally sure images in the order in which they happen to come. torch-uncertainty
    joins the same risks by lines, so that its first and last count half.

    >>> sure = np.array([0.9, 0.8, 0.7, 0.6])
    >>> round(selective(np.array([True, True, False, False]), sure).risk.value, 6)
    0.208333
    """
    levels = np.sort(confidence.astype(np.float64))[::-1]
    N, points = len(levels), []
    for least in dict.fromkeys(float(levels[max(1, _ceil(part * N)) - 1]) for part in coverages if N):
        answered = confidence >= least
        within = None if groups is None else np.unique(groups[answered], return_inverse=True)[1]
        accuracy = share(right[answered], name="accuracy", groups=within)
        points.append(Answering(least, float(answered.mean()), accuracy))
    return Selective(_risk(right, confidence, groups=groups, seed=seed), tuple(points))


def _ceil(count: float) -> int:
    # 0.7 · 10 is 7.000000000000001 in some orders of multiplication.
    return int(np.ceil(count - 1e-9))


def _risk(
    right: Bool[np.ndarray, "N"], confidence: Float[np.ndarray, "N"], *, groups: Int[np.ndarray, "N"] | None, seed: int
) -> Measure:
    measure = Measure("risk over all coverages", None, len(right), undefined_because="there are no images")
    if not len(right):
        return replace(measure, scale="number")
    value, influence = _risk_and_influence(~right, confidence)
    clusters = np.arange(len(right)) if groups is None else groups
    replicates = cluster_bootstrap(
        lambda weights: value + weights @ influence / weights.sum(1),
        clusters,
        seed=seed,
        resamples=affordable_resamples(len(right)),
    )
    measure = replace(measure, value=value, undefined_because=None)
    # As a share, so that a model without a mistake gets Wilson's interval and no certainty.
    return replace(bootstrapped(measure, np.clip(replicates, 0, 1), clusters=clusters), scale="number")


def _risk_and_influence(
    wrong: Bool[np.ndarray, "N"], confidence: Float[np.ndarray, "N"]
) -> tuple[float, Float[np.ndarray, "N"]]:
    """The area, and N times its derivative by the weight of each image."""
    N = len(wrong)
    values, tie = np.unique(-confidence, return_inverse=True)
    order = np.argsort(tie, kind="stable")
    errors = np.bincount(tie, weights=wrong, minlength=len(values)) / np.bincount(tie, minlength=len(values))
    expected = errors[tie[order]]  # of the image at each place, were equally sure ones shuffled
    count, mistakes = np.arange(1.0, N + 1), np.cumsum(expected)
    risks = mistakes / count
    gained = np.cumsum((1 / count)[::-1])[::-1]
    lost = np.cumsum((mistakes / count**2)[::-1])[::-1]

    def over_ties(each: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
        return (np.bincount(tie[order], weights=each) / np.bincount(tie))[tie]

    value = float(risks.mean())
    return value, over_ties(risks) - value + wrong * over_ties(gained) - over_ties(lost)
