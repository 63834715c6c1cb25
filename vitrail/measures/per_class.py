"""Recall, precision and F1 of every class, each with an interval, and undefined where there is nothing to count."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.measures.intervals import (
    Measure,
    affordable_resamples,
    bootstrapped,
    cluster_bootstrap,
    ratio,
    wilson,
)


@dataclass(frozen=True)
class ClassQuality:
    """How one class fares. `support` is the number of images that truly belong to it."""

    name: str
    support: int
    recall: Measure
    precision: Measure
    f1: Measure

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def per_class(
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    *,
    classes: Sequence[str],
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> tuple[ClassQuality, ...]:
    """Recall, precision and F1 of each class in the order of `classes`.

    Intervals are Wilson's; with `groups` (numbered from 0 without gaps) they come from a cluster bootstrap. A class
    without images has no recall, a class that is never predicted has no precision.

    Source: for F1, Wilson's limits of TP / (TP + FP + FN), a plain share, carried over by F1 = 2J / (1 + J).

    >>> per_class(np.array([0, 1, 1]), np.array([0, 0, 1]), classes=["ant", "bee"])[1].recall.text()
    '50.0 % (9.5–90.5, n = 2)'
    """
    qualities = []
    for number, name in enumerate(classes):
        belongs, claimed = labels == number, predicted == number
        measures = {
            "recall": _share("recall", belongs & claimed, belongs, missing=f"no image of class {name!r}"),
            "precision": _share("precision", belongs & claimed, claimed, missing=f"{name!r} was never predicted"),
            "f1": _f1(belongs & claimed, belongs | claimed, name),
        }
        qualities.append(ClassQuality(name, int(belongs.sum()), **measures))
    if groups is None or not len(labels):
        return tuple(qualities)
    return _with_group_intervals(qualities, labels, predicted, groups=groups, seed=seed)


def _share(name: str, hits: Bool[np.ndarray, "N"], among: Bool[np.ndarray, "N"], *, missing: str) -> Measure:
    if not among.any():
        return Measure(name, None, 0, undefined_because=missing)
    return wilson(int(hits.sum()), int(among.sum()), name=name)


def _f1(hits: Bool[np.ndarray, "N"], among: Bool[np.ndarray, "N"], name: str) -> Measure:
    jaccard = _share("F1", hits, among, missing=f"{name!r} neither occurs nor is predicted")
    if jaccard.value is None or jaccard.low is None or jaccard.high is None:
        return jaccard
    value, low, high = (2 * share / (1 + share) for share in (jaccard.value, jaccard.low, jaccard.high))
    return replace(jaccard, value=value, low=low, high=high)


def _with_group_intervals(
    qualities: list[ClassQuality],
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"],
    seed: int,
) -> tuple[ClassQuality, ...]:
    K = len(qualities)
    belongs, claimed = labels[:, None] == np.arange(K), predicted[:, None] == np.arange(K)
    columns = np.hstack([belongs & claimed, belongs, claimed]).astype(np.float64)

    def shares(weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, "R S"]:
        hits, true, said = np.hsplit(weights @ columns, 3)
        return np.hstack([ratio(hits, true), ratio(hits, said), ratio(2 * hits, true + said)])

    replicates = cluster_bootstrap(
        shares, groups, seed=seed, resamples=affordable_resamples(len(labels), columns=max(1, K // 10))
    )

    def grouped(measure: Measure, column: int, about: Bool[np.ndarray, "N"]) -> Measure:
        plain = replace(measure, low=None, high=None, method=None)
        return bootstrapped(plain, replicates[:, column], clusters=groups[about])

    return tuple(
        replace(
            quality,
            recall=grouped(quality.recall, k, belongs[:, k]),
            precision=grouped(quality.precision, K + k, claimed[:, k]),
            f1=grouped(quality.f1, 2 * K + k, belongs[:, k] | claimed[:, k]),
        )
        for k, quality in enumerate(qualities)
    )
