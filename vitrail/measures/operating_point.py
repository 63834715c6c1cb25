"""Where two classes are told apart: the ROC curve, sensitivity and specificity at a threshold, and which threshold."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.basics.errors import InputError
from vitrail.measures.intervals import Measure
from vitrail.measures.means import share

MOST_POINTS = 200


@dataclass(frozen=True)
class OperatingPoint:
    """How the two classes fare where an image is called positive from `threshold` on.

    `sensitivity` is the share of positive images that are called so, `specificity` that of negative images that are
    not. `precision` is the share of positive answers that are true: it holds for as many positive images as there are
    among these (`prevalence`), and falls where there are fewer.
    """

    threshold: float
    sensitivity: Measure
    specificity: Measure
    precision: Measure
    prevalence: float | None

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class RocPoint:
    """A point of the ROC curve: what is called positive from `threshold` on (None: nothing is)."""

    threshold: float | None
    false_positive_rate: float
    true_positive_rate: float

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def operating_point(
    positive: Bool[np.ndarray, "N"],
    called: Bool[np.ndarray, "N"],
    *,
    threshold: float | int,
    groups: Int[np.ndarray, "N"] | None = None,
) -> OperatingPoint:
    """Sensitivity, specificity and precision of the images that were `called` positive, from `threshold` on.

    Intervals are Wilson's; with `groups`, t intervals from how whole groups differ. A class without images leaves its
    share undefined.

    >>> scores = np.array([0.9, 0.4, 0.5])
    >>> point = operating_point(np.array([True, True, False]), scores >= 0.5, threshold=0.5)
    >>> point.sensitivity.value, point.specificity.value, point.precision.value
    (0.5, 0.0, 0.5)
    """
    return OperatingPoint(
        float(threshold),
        _share_among(called, positive, "sensitivity", "there is no positive image", groups),
        _share_among(~called, ~positive, "specificity", "there is no negative image", groups),
        _share_among(positive, called, "precision", "no image was called positive", groups),
        float(positive.mean()) if len(positive) else None,
    )


def _share_among(
    hits: Bool[np.ndarray, "N"],
    among: Bool[np.ndarray, "N"],
    name: str,
    missing: str,
    groups: Int[np.ndarray, "N"] | None,
) -> Measure:
    if not among.any():
        return Measure(name, None, 0, undefined_because=missing)
    within = None if groups is None else np.unique(groups[among], return_inverse=True)[1]
    return share(hits[among], name=name, groups=within)


def roc_curve(
    positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"], *, most: int = MOST_POINTS
) -> tuple[RocPoint, ...]:
    """The curve from (0, 0) to (1, 1), its corners alone, and of these at most `most`; none where a class is absent.

    Corners that are left out lie nearest to others along the curve; between two points it is at most a step away.
    """
    if not positive.any() or positive.all():
        return ()
    thresholds, true, false = _rates(positive, scores)
    # A point between two others on one straight line tells nothing.
    turns = np.diff(true)[:-1] * np.diff(false)[1:] != np.diff(true)[1:] * np.diff(false)[:-1]
    kept = np.flatnonzero(np.concatenate([[True], turns, [True]]))
    if len(kept) > most:
        along = true[kept] + false[kept]
        wanted = np.linspace(0, 2, most)
        kept = kept[np.unique(np.clip(np.searchsorted(along, wanted - 1e-12), 0, len(kept) - 1))]
    return tuple(
        RocPoint(
            float(thresholds[place]) if np.isfinite(thresholds[place]) else None,
            float(false[place]),
            float(true[place]),
        )
        for place in kept
    )


def _rates(
    positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "M"], Float[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """Thresholds from infinity down, and the shares of positive and of negative images at or above each."""
    values, tie = np.unique(scores.astype(np.float64), return_inverse=True)
    hits = np.bincount(tie[positive], minlength=len(values))[::-1].cumsum() / max(1, int(positive.sum()))
    alarms = np.bincount(tie[~positive], minlength=len(values))[::-1].cumsum() / max(1, int((~positive).sum()))
    return np.append(np.inf, values[::-1]), np.append(0.0, hits), np.append(0.0, alarms)


def threshold_for_sensitivity(
    positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"], least: float | int
) -> float:
    """The highest threshold at which at least this share of the positive images is called positive.

    It lies in the middle between two scores that occur, or between one and the end of the scale from 0 to 1.

    >>> threshold_for_sensitivity(np.array([True, True, False]), np.array([0.9, 0.4, 0.2]), 1.0)
    0.30000000000000004
    """
    _refuse_one_class(positive)
    thresholds, true, _ = _rates(positive, scores)
    return _between(thresholds, int(np.flatnonzero(true >= least - 1e-12)[0]))


def threshold_for_specificity(
    positive: Bool[np.ndarray, "N"], scores: Float[np.ndarray, "N"], least: float | int
) -> float:
    """The lowest threshold at which at least this share of the negative images is not called positive."""
    _refuse_one_class(positive)
    thresholds, _, false = _rates(positive, scores)
    return _between(thresholds, int(np.flatnonzero(1 - false >= least - 1e-12)[-1]))


def threshold_for_costs(
    positive: Bool[np.ndarray, "N"],
    scores: Float[np.ndarray, "N"],
    *,
    missed: float | int = 1.0,
    false_alarm: float | int = 1.0,
    prevalence: float | None = None,
) -> float:
    """The threshold with the lowest mean cost on these images; of several, the middle of the range nearest one half.

    Args:
        positive: which images are.
        scores: probabilities of being positive.
        missed: what a positive image costs that is not called so.
        false_alarm: what a negative one costs that is called positive.
        prevalence: share of positive images where the model will be used; None: as among these.

    Source: C. E. Metz (1978), Basic principles of ROC analysis, Seminars in Nuclear Medicine 8, p. 283, equation 4.
    """
    _refuse_one_class(positive)
    frequent = float(positive.mean()) if prevalence is None else prevalence
    thresholds, true, false = _rates(positive, scores)
    costs = frequent * missed * (1 - true) + (1 - frequent) * false_alarm * false
    cheapest = np.flatnonzero(costs <= costs.min() * (1 + 1e-12) + 1e-15)
    middles = [_between(thresholds, int(place)) for place in cheapest]
    return min(middles, key=lambda middle: abs(middle - 0.5))


def _between(thresholds: Float[np.ndarray, "M"], place: int) -> float:
    """In the middle between a score and the next lower one: what is read again a digit off stays on its side."""
    upper = float(thresholds[place])
    if place + 1 == len(thresholds):
        return upper / 2
    lower = float(thresholds[place + 1])
    middle = (min(upper, 1.0) + lower) / 2
    return middle if middle > lower else float(np.nextafter(lower, 2.0))


def _refuse_one_class(positive: Bool[np.ndarray, "N"]) -> None:
    if not positive.any() or positive.all():
        which = "positive" if not positive.any() else "negative"
        raise InputError(
            f"a threshold cannot be chosen: there is no {which} image among {len(positive)}",
            hint="choose it on images of both classes",
        )
