"""How often a classifier is right: overall, per class, and against always naming the most frequent class.

Labels and predictions are class numbers. `groups` numbers the patient (or whatever images share) of every image,
from 0 without gaps; when it is given, intervals come from drawing whole groups instead of single images.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import bdtr

from vitrail.measures.intervals import (
    Measure,
    affordable_resamples,
    bootstrapped,
    cluster_bootstrap,
    ratio,
    wilson,
    wilson_limits,
)
from vitrail.measures.paired import Decision, decide, sign_flip_p_value


@dataclass(frozen=True)
class Verdict:
    """Whether a classifier beats another one on the same images.

    `better_on` and `worse_on` count the images that exactly one of the two got right; `p_value` is two-sided.
    """

    decision: Decision
    p_value: float
    better_on: int
    worse_on: int
    method: str

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def accuracy(
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Measure:
    """The share of images whose predicted class is the true one (Wilson; cluster bootstrap with `groups`).

    >>> accuracy(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])).text()
    '75.0 % (30.1–95.4, n = 4)'
    """
    right = labels == predicted
    plain = wilson(int(right.sum()), len(right), name="accuracy")
    if groups is None or not len(right):
        return plain
    replicates = cluster_bootstrap(
        lambda weights: weights @ right / weights.sum(1),
        groups,
        seed=seed,
        resamples=affordable_resamples(len(right)),
    )
    return bootstrapped(replace(plain, low=None, high=None, method=None), replicates, clusters=groups)


def majority_baseline(
    labels: Int[np.ndarray, "N"], *, groups: Int[np.ndarray, "N"] | None = None, seed: int = 0
) -> Measure:
    """The accuracy of always naming the class most frequent in `labels`: the best that no looking at images can do.

    >>> majority_baseline(np.array([0, 1, 1, 1])).value
    0.75
    """
    always = np.full_like(labels, np.bincount(labels).argmax() if len(labels) else 0)
    return replace(accuracy(labels, always, groups=groups, seed=seed), name="majority class")


def accuracy_above_majority(
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
    significance: float = 0.05,
) -> Verdict:
    """Whether predictions beat always naming the most frequent class of these very labels, paired image by image.

    Source: exact McNemar test, Q. McNemar (1947), Psychometrika 12, p. 153; with `groups`, a test that flips the
    sign of whole groups' differences at random, with p = (b + 1) / (m + 1).
    """
    majority = np.bincount(labels).argmax() if len(labels) else 0
    difference = (predicted == labels).astype(int) - (labels == majority).astype(int)
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    if groups is None:
        # With p = 1/2 both tails are equal, so twice the smaller one is the two-sided exact test.
        p_value = min(1.0, 2 * float(bdtr(min(better, worse), better + worse, 0.5))) if better + worse else 1.0
        method = "exact McNemar test"
    else:
        p_value = sign_flip_p_value(np.bincount(groups, weights=difference), seed=seed)
        method = "sign-flip test over groups"
    decision = decide(p_value, better - worse, alpha=significance)
    return Verdict(decision, p_value, better, worse, method)


def confusion_matrix(
    labels: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"], *, classes: int
) -> Int[np.ndarray, "K K"]:
    """Counts: row = true class, column = predicted class.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), classes=2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def balanced_accuracy(
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Measure:
    """The mean recall over the classes that have images, so that rare classes count as much as frequent ones.

    The interval joins Wilson's intervals of the recalls; with `groups` it is a cluster bootstrap.

    Source: G. Y. Zou and A. Donner (2008), Statistics in Medicine 27, p. 1693 (MOVER), for the joined interval.
    """
    if not len(labels):
        return wilson(0, 0, name="balanced accuracy")
    if groups is not None:
        return _grouped_balanced_accuracy(labels, predicted, groups=groups, seed=seed)
    support = np.bincount(labels)
    right = np.bincount(labels[labels == predicted], minlength=len(support))[support > 0]
    support = support[support > 0]
    recalls = right / support
    value = float(recalls.mean())
    limits = [wilson_limits(recall, n) for recall, n in zip(recalls.tolist(), support.tolist(), strict=True)]
    below = math.hypot(*(recall - low for recall, (low, _) in zip(recalls, limits, strict=True))) / len(recalls)
    above = math.hypot(*(high - recall for recall, (_, high) in zip(recalls, limits, strict=True))) / len(recalls)
    low, high = max(0.0, value - below), min(1.0, value + above)
    return Measure("balanced accuracy", value, len(labels), low, high, method="Wilson, joined over classes")


def _grouped_balanced_accuracy(
    labels: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"], *, groups: Int[np.ndarray, "N"], seed: int
) -> Measure:
    members = (labels[:, None] == np.unique(labels)).astype(np.float64)
    right = members * (labels == predicted)[:, None]

    def mean_recall(weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, "R"]:
        return np.nanmean(ratio(weights @ right, weights @ members), axis=1)

    replicates = cluster_bootstrap(mean_recall, groups, seed=seed, resamples=affordable_resamples(len(labels)))
    value = float(mean_recall(np.ones((1, len(labels))))[0])
    return bootstrapped(Measure("balanced accuracy", value, len(labels)), replicates, clusters=groups)
