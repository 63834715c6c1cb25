"""Means and their differences with t intervals, by images or by groups of images that resemble each other."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit

from vitrail.measures.intervals import Measure, wilson, wilson_limits

Values = Float[np.ndarray, "N"]
Groups = Int[np.ndarray, "N"] | None
_ALONE = "a single image says nothing about how images differ"
_ONE_GROUP = "all these images belong to one group"


def mean(
    values: Values, *, name: str, groups: Groups = None, scale: Literal["percent", "number"] = "number"
) -> Measure:
    """The mean over images, with Student's t interval; with `groups`, from how whole groups differ.

    Source: the sandwich variance of a mean with clusters, A. C. Cameron and D. L. Miller (2015), A Practitioner's Guide
    to Cluster-Robust Inference, section II; without groups it is the ordinary one.

    >>> mean(np.array([1.0, 2.0, 3.0, 4.0]), name="loss").text()
    '2.500 (0.446–4.554, n = 4)'
    """
    value = Measure(name, float(values.mean()), len(values), scale=scale)
    error, count = _standard_error(values, groups)
    if error is None:
        return replace(value, undefined_because=_ALONE if groups is None else _ONE_GROUP)
    half = _quantile(count - 1, value.level) * error
    return replace(value, low=value.value - half, high=value.value + half, method=_method("t", groups))  # type: ignore[operator]


def share(right: Bool[np.ndarray, "N"], *, name: str, groups: Groups = None) -> Measure:
    """The share of images that are right: Wilson's interval, or with `groups` one of `mean`, kept within 0 and 1."""
    plain = wilson(int(right.sum()), len(right), name=name)
    if groups is None or plain.value is None:
        return plain
    found = mean(right.astype(np.float64), name=name, groups=groups, scale="percent")
    if found.low is None or found.high is None:
        return found
    if found.low == found.high:  # all right or all wrong: as many trials as there are groups
        count = len(np.unique(groups))
        low, high = wilson_limits(plain.value, count, level=plain.level)
        return replace(found, low=low, high=high, method=f"Wilson on {count} groups")
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def difference_of_means(
    one: Values,
    other: Float[np.ndarray, "M"],
    *,
    name: str,
    groups: Groups = None,
    other_groups: Int[np.ndarray, "M"] | None = None,
) -> Measure:
    """Mean of `one` minus mean of `other`, of different images; n counts both.

    Source: B. L. Welch (1947), The generalization of "Student's" problem, Biometrika 34, p. 28.

    >>> difference_of_means(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0]), name="gap").text()
    '2.000 (-0.267–4.267, n = 6)'
    """
    value = Measure(name, float(one.mean() - other.mean()), len(one) + len(other), scale="number")
    parts = [_standard_error(one, groups), _standard_error(other, other_groups)]
    known = [(error**2, count) for error, count in parts if error is not None]
    if len(known) < len(parts):
        alone = groups is None and other_groups is None
        return replace(value, undefined_because=_ALONE if alone else _ONE_GROUP)
    variance = sum(square for square, _ in known)
    spread = sum(square**2 / (count - 1) for square, count in known)
    freedom = variance**2 / spread if spread else math.inf
    half = _quantile(freedom, value.level) * math.sqrt(variance)
    by = groups if groups is not None else other_groups
    return replace(value, low=value.value - half, high=value.value + half, method=_method("Welch's t", by))  # type: ignore[operator]


def _standard_error(values: Values, groups: Groups) -> tuple[float | None, int]:
    """Of the mean, and the number of units it rests on; None with fewer than two of them."""
    away = values - values.mean()
    sums = away if groups is None else np.bincount(groups, weights=away)
    sums = sums if groups is None else sums[np.unique(groups)]
    count = len(sums)
    if count < 2:
        return None, count
    return math.sqrt(float((sums**2).sum()) * count / (count - 1)) / len(values), count


def _quantile(freedom: float | int, level: float) -> float:
    return float(stdtrit(min(freedom, 1e9), 0.5 + level / 2))


def _method(name: str, groups: Groups) -> str:
    return name if groups is None else f"{name}, by groups"
