"""What pretraining was worth: a transferred model against one trained from scratch, on the same images."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.basics.errors import InputError
from vitrail.measures.intervals import (
    NO_SPREAD,
    Measure,
    affordable_resamples,
    bootstrapped,
    cluster_bootstrap,
    ratio,
    wilson_limits,
)


@dataclass(frozen=True)
class TransferGain:
    """The gain in accuracy over training from scratch, in three scales; each is 0 when there is no gain.

    With the accuracies t (transferred) and s (from scratch) and chance 1/K for K classes: `absolute_improvement` is
    t - s, `transfer_gain` is (t - s) / s, `normalized_gain` is (t - s) / (s - 1/K).
    """

    transfer_gain: Measure
    normalized_gain: Measure
    absolute_improvement: Measure

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def transfer_gain(
    transfer_correct: Bool[np.ndarray, "N"],
    scratch_correct: Bool[np.ndarray, "N"],
    *,
    classes: int,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> TransferGain:
    """How much more often a transferred model is right than one trained from scratch with the same budget.

    The normalised gain counts only what lies above chance: 1 says that transfer lifted the accuracy twice as far
    above guessing as training from scratch did. It is (t - 1/K) / (s - 1/K) - 1, and undefined where training from
    scratch is no better than chance; the transfer gain is undefined where it is never right. Their interval is left
    out where so many resamples are undefined that it would have no end.

    Intervals are a paired bootstrap: both models are judged on the same drawn images (with `groups`: groups).

    Args:
        transfer_correct: whether the transferred model is right, for each image.
        scratch_correct: the same of the model trained from scratch, for the same images in the same order.
        classes: K, at least 2; chance is 1/K.
        groups: the patient (or whatever images share) of every image, numbered from 0 without gaps.
        seed: the same seed gives the same numbers.

    Raises:
        InputError: fewer than 2 classes.

    Source: T. Tango (1998), Statistics in Medicine 17, p. 891, for the interval of a difference without spread.

    >>> gain = transfer_gain(np.array([True] * 9 + [False]), np.arange(10) < 6, classes=2)
    >>> [round(each.value, 3) for each in (gain.absolute_improvement, gain.transfer_gain, gain.normalized_gain)]
    [0.3, 0.5, 3.0]
    """
    if classes < 2:
        raise InputError(f"a gain over chance needs at least 2 classes, got {classes}", hint="give classes=2 or more")
    n = len(scratch_correct)
    if not n:
        return _undefined_gain("there are no images to measure it on")
    chance = 1 / classes
    clusters = np.arange(n) if groups is None else groups

    def gains(weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, "R 3"]:
        scratch = weights @ scratch_correct / weights.sum(1)
        gained = weights @ (transfer_correct.astype(int) - scratch_correct) / weights.sum(1)
        return np.stack([ratio(gained, scratch), ratio(gained, scratch - chance), gained], axis=1)

    replicates = cluster_bootstrap(gains, clusters, seed=seed, resamples=affordable_resamples(n))
    relative, normalized, gained = gains(np.ones((1, n)))[0].tolist()
    of_scratch, of_chance = "training from scratch is never right", f"training from scratch is not above 1/{classes}"
    return TransferGain(
        _relative("transfer gain", relative, replicates[:, (0, 2)], clusters=clusters, missing=of_scratch),
        _relative("normalized gain", normalized, replicates[:, (1, 2)], clusters=clusters, missing=of_chance),
        _absolute(gained, replicates[:, 2], clusters=clusters),
    )


def _absolute(gained: float, replicates: Float[np.ndarray, "R"], *, clusters: Int[np.ndarray, "N"]) -> Measure:
    measure = Measure("absolute improvement", gained, len(clusters), scale="number")
    count = len(np.unique(clusters))
    if count < 2 or np.ptp(replicates) > NO_SPREAD:
        return bootstrapped(measure, replicates, clusters=clusters)
    # All images tell the same: the bootstrap would claim certainty, Tango's score interval does not.
    reach = wilson_limits(0.0, count)[1]
    low, high = max(-1.0, gained - reach), min(1.0, gained + reach)
    return replace(measure, low=low, high=high, method=f"Tango on {count} {_kind(clusters, count)}")


def _relative(
    name: str, value: float, replicates: Float[np.ndarray, "R 2"], *, clusters: Int[np.ndarray, "N"], missing: str
) -> Measure:
    measure = Measure(name, None, len(clusters), scale="number")
    if np.isnan(value):
        return replace(measure, undefined_because=missing)
    measure = replace(measure, value=value)
    relative, gained = replicates.T
    undefined = np.isnan(relative)
    if undefined.mean() > (1 - measure.level) / 2:
        return replace(measure, undefined_because=f"in too many resamples, {missing}")
    if len(np.unique(clusters)) > 1 and np.ptp(relative[~undefined]) < NO_SPREAD:
        return replace(measure, undefined_because="all resamples give the same value")
    # The denominator of an undefined resample has shrunk to nothing, so it belongs to the far end, not nowhere.
    ends = np.where(gained > 0, relative[~undefined].max(), relative[~undefined].min())
    return bootstrapped(measure, np.where(undefined, ends, relative), clusters=clusters)


def _kind(clusters: Int[np.ndarray, "N"], count: int) -> str:
    return "groups" if count < len(clusters) else "images"


def _undefined_gain(because: str) -> TransferGain:
    names = ("transfer gain", "normalized gain", "absolute improvement")
    return TransferGain(*(Measure(name, None, 0, undefined_because=because, scale="number") for name in names))
