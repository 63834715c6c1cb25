"""What pretraining was worth: a transferred model against one trained from scratch, on the same images.

Scores that foretell it without training (LEEP, the H-score, LogME) are not here: in large comparisons the accuracy of
nearest neighbours (`features.neighbours`) foretells it better (arXiv:2503.18528).
"""

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
    """The gain in accuracy over training from scratch; each is 0 when there is no gain.

    With the accuracies t (transferred) and s (from scratch) and r (answering by chance):

    - `transfer_gain` is (t - s) / (1 - s): which share of what scratch gets wrong transfer gets right;
    - `normalized_gain` is (t - r) / (1 - r): how far the transferred model is from chance to perfect;
    - `absolute_improvement` is t - s;
    - `relative_improvement` is (t - s) / s;
    - `improvement_over_chance` is (t - s) / (s - r): in units of what scratch has above chance.
    """

    transfer_gain: Measure
    normalized_gain: Measure
    absolute_improvement: Measure
    relative_improvement: Measure
    improvement_over_chance: Measure

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def transfer_gain(
    transfer_correct: Bool[np.ndarray, "N"],
    scratch_correct: Bool[np.ndarray, "N"],
    *,
    classes: int,
    random_accuracy: float | None = None,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> TransferGain:
    """How much more often a transferred model is right than one trained from scratch with the same budget.

    A gain is undefined where it would be divided by nothing: the transfer gain where scratch is always right, the
    normalised gain where chance is, the relative improvement where scratch is never right, the improvement over chance
    where scratch is no better than chance. An interval is left out where so many resamples are undefined that it would
    have no end.

    Intervals are a paired bootstrap: both models are judged on the same drawn images (with `groups`: groups).

    Args:
        transfer_correct: whether the transferred model is right, for each image.
        scratch_correct: the same of the model trained from scratch, for the same images in the same order.
        classes: K, at least 2.
        random_accuracy: r, what answering by chance reaches, in [0, 1]; None: 1/K. Where one class holds most images,
            always naming it reaches more.
        groups: the patient (or whatever images share) of every image, numbered from 0 without gaps.
        seed: the same seed gives the same numbers.

    Raises:
        InputError: fewer than 2 classes, or a `random_accuracy` that is no share.

    Source: the first three are `compute_transfer_effectiveness` of the article on ViT transfer learning that Vitrail
    grew from, under its names. T. Tango (1998), Statistics in Medicine 17, p. 891, for the interval of a difference
    without spread; E. B. Wilson (1927), JASA 22, p. 209, for that of an accuracy without spread.

    >>> gain = transfer_gain(np.arange(153) < 130, np.arange(153) < 89, classes=2)
    >>> [round(each.value, 4) for each in (gain.transfer_gain, gain.normalized_gain, gain.absolute_improvement)]
    [0.6406, 0.6993, 0.268]
    """
    chance = _chance(classes, random_accuracy)
    n = len(scratch_correct)
    if not n:
        return _undefined_gain("there are no images to measure it on")
    clusters = np.arange(n) if groups is None else groups

    def gains(weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, "R 5"]:
        total = weights.sum(1)
        right, scratch = weights @ transfer_correct / total, weights @ scratch_correct / total
        wrong = weights @ ~scratch_correct / total
        gained = weights @ (transfer_correct.astype(int) - scratch_correct) / total
        normalized = ratio(right - chance, np.full_like(right, 1 - chance))
        relative, over_chance = ratio(gained, scratch), ratio(gained, scratch - chance)
        return np.stack([ratio(gained, wrong), normalized, gained, relative, over_chance], axis=1)

    replicates = cluster_bootstrap(gains, clusters, seed=seed, resamples=affordable_resamples(n))
    values = gains(np.ones((1, n)))[0].tolist()
    not_above = f"training from scratch is not above {_share(chance, classes)}"

    def relative(name: str, column: int, missing: str) -> Measure:
        return _relative(name, values[column], replicates[:, (column, 2)], clusters=clusters, missing=missing)

    return TransferGain(
        relative("transfer gain", 0, "training from scratch is always right"),
        _normalized(values[1], replicates[:, 1], clusters=clusters, chance=chance),
        _absolute(values[2], replicates[:, 2], clusters=clusters),
        relative("relative improvement", 3, "training from scratch is never right"),
        relative("improvement over chance", 4, not_above),
    )


def _chance(classes: int, random_accuracy: float | None) -> float:
    if classes < 2:
        raise InputError(f"a gain over chance needs at least 2 classes, got {classes}", hint="give classes=2 or more")
    if random_accuracy is not None and not 0 <= random_accuracy <= 1:
        raise InputError(
            f"random_accuracy is {random_accuracy}, expected a share from 0 to 1",
            hint=f"leave it out for 1/{classes}",
        )
    return 1 / classes if random_accuracy is None else float(random_accuracy)


def _share(chance: float, classes: int) -> str:
    return f"1/{classes}" if chance == 1 / classes else f"{chance:g}"


def _normalized(
    value: float, replicates: Float[np.ndarray, "R"], *, clusters: Int[np.ndarray, "N"], chance: float
) -> Measure:
    measure = Measure("normalized gain", None, len(clusters), scale="number")
    if np.isnan(value):
        return replace(measure, undefined_because="answering by chance is always right")
    measure, count = replace(measure, value=value), len(np.unique(clusters))
    if count < 2 or np.ptp(replicates) > NO_SPREAD:
        return bootstrapped(measure, replicates, clusters=clusters)
    # The transferred model is always right, or never: the bootstrap would claim certainty, Wilson's interval does not.
    ends = wilson_limits(round(value * (1 - chance) + chance, 9), count)
    low, high = ((end - chance) / (1 - chance) for end in ends)
    return replace(measure, low=low, high=high, method=f"Wilson on {count} {_kind(clusters, count)}")


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
    names = (
        "transfer gain", "normalized gain", "absolute improvement", "relative improvement", "improvement over chance",
    )  # fmt: skip
    return TransferGain(*(Measure(name, None, 0, undefined_because=because, scale="number") for name in names))
