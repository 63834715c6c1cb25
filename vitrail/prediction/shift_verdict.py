"""Are these images, as a whole, like those that a model knows? The verdict on many, from answers as they come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from vitrail.basics.settings import Settings
from vitrail.measures.conformal_p_values import conformal_p_values
from vitrail.measures.intervals import Measure, wilson
from vitrail.measures.mahalanobis import mahalanobis_distance
from vitrail.measures.stratified_means import StratumMeans, stratified_mean_test
from vitrail.measures.two_samples import (
    SampleVerdict,
    Scored,
    TwoSampleTest,
    class_mix_test,
    combined_verdict,
    score_test,
)
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.pages.numbers import p_value
from vitrail.prediction.answers import UNLIKE
from vitrail.prediction.likeness import are_unlike

Share = Annotated[float, Field(gt=0, lt=1)]


class ShiftSettings(Settings):
    """When images count as shifted."""

    shift_level: Share = 0.05
    """How often an alarm may be false: below this p-value there is one."""
    least_shift_images: int = Field(default=30, ge=10)
    """Fewer images get no verdict as a whole; the means of fewer are not near enough to normal."""
    least_mean_shift: Annotated[float, Field(ge=0)] = 0.1
    """A shift of the mean counts from here on, in standard deviations of known images."""
    least_distance_shift: Annotated[float, Field(ge=0, lt=0.5)] = 0.02
    """Distances count as others from here on: how far from 50 % the share of pairs is in which the new image is the
    more unusual one."""
    largest_outlier_share: Share = 0.1
    """`shift_detected` where more images than this share lie beyond the 95th percentile of held-out ones."""
    unusual_shown: Annotated[int, Field(ge=0, le=200)] = 24
    """How many of the most unusual images are shown."""


@dataclass(frozen=True)
class ShiftVerdict:
    """What can be said of many images.

    Attributes:
        decision: `shifted`, `not shifted`, `not enough images`.
        p_value: of both tests together; None where there is none.
        why: one sentence without its full stop: what decided.
        images: that were judged.
        held_out: images of the reference.
        unusual: share of images beyond the 95th percentile of held-out ones; 5 % are expected.
        distances: whether images lie farther from their classes than held-out ones do, or nearer; the effect is the
            share of pairs in which the new image is the more unusual one.
        features: whether the mean features of a class have moved; the effect is in standard deviations.
        class_mix: whether other answers are given than about held-out images; not counted as a shift of the images. The
            effect is the share of answers that would have to change.
        answered: answers by class, and those about held-out images.
        outlier_indices: rows of the images beyond the 95th percentile, in order.
        most_unusual: rows of the most unusual images, the farthest first.
        shift_detected: whether `shift_score` is above what is tolerated; None where there are too few images. This is
            the rule of the articles Vitrail grew from, without a test; `decision` has one.
    """

    decision: Literal["shifted", "not shifted", "not enough images"]
    p_value: float | None
    why: str
    images: int
    held_out: int
    unusual: Measure
    distances: TwoSampleTest
    features: TwoSampleTest
    class_mix: TwoSampleTest
    answered: Mapping[str, tuple[int, int]]
    outlier_indices: Sequence[int]
    most_unusual: Sequence[int]
    shift_detected: bool | None

    @property
    def shift_score(self) -> float | None:
        """The share of images beyond the 95th percentile of held-out ones."""
        return self.unusual.value


@dataclass(frozen=True, eq=False)
class SeenImages:
    """What is known of the images that are judged.

    Attributes:
        distances: to the nearest class.
        predicted: class numbers.
        rows: their places among the images that were given.
        groups: patients, numbered from 0; None where every image stands for itself.
        places: their means by stratum along the reference's directions; None for fewer than two images.
    """

    distances: Float[np.ndarray, "N"]
    predicted: Int[np.ndarray, "N"]
    rows: Int[np.ndarray, "N"]
    groups: Int[np.ndarray, "N"] | None
    places: StratumMeans | None

    @property
    def units(self) -> int:
        """Independent pieces of evidence."""
        return len(self.distances) if self.groups is None else int(self.groups.max()) + 1


def shift_of(
    reference: ShiftReference,
    features: Float[np.ndarray, "N D"],
    predicted: Int[np.ndarray, "N"],
    settings: ShiftSettings,
    *,
    classes: Sequence[str],
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> ShiftVerdict:
    """The verdict on images whose features are all there.

    Args:
        reference: of the model that gave the features.
        features: pooled, exact as predictions are computed.
        predicted: the class numbers that the model answered.
        settings: when images count as shifted.
        classes: names by number.
        groups: patients, numbered from 0 without gaps; images of one count as one piece of evidence.
        seed: of the draws for the mix of classes.

    Raises:
        InputError: a feature is NaN or infinite, or of another width.
    """
    distances = mahalanobis_distance(reference.distances, features)
    units = len(features) if groups is None else int(groups.max()) + 1
    strata, number = reference.stratum_of_class[predicted], len(reference.stratum_means)
    places = StratumMeans.of(reference.places(features, predicted), strata, groups, number=number)
    seen = SeenImages(distances, predicted, np.arange(len(features)), groups, places if units > 1 else None)
    return judged_shift(reference, seen, settings, classes=classes, seed=seed)


def judged_shift(
    reference: ShiftReference, seen: SeenImages, settings: ShiftSettings, *, classes: Sequence[str], seed: int = 0
) -> ShiftVerdict:
    """The verdict from what was gathered of images; see `shift_of` for the arguments."""
    p_values = conformal_p_values(reference.scores, seen.distances)
    outliers = are_unlike(p_values)
    too_few = _too_few(reference, seen, settings)
    mix = tuple(np.bincount(each, minlength=len(classes)) for each in (reference.score_classes, seen.predicted))
    none = TwoSampleTest(None, None, "", too_few)
    distances = features = class_mix = none
    both = SampleVerdict("not enough images", None)
    if too_few is None and seen.places is not None:
        distances = score_test(reference.scored, Scored(seen.distances, seen.predicted, seen.groups))
        features = _in_deviations(stratified_mean_test(reference.strata, seen.places), reference)
        class_mix = class_mix_test(*mix, seed=seed)
        both = combined_verdict(
            distances, features, alpha=settings.shift_level, least_score=settings.least_distance_shift,
            least_mean=settings.least_mean_shift,
        )  # fmt: skip
    unusual = wilson(int(outliers.sum()), len(outliers), name="unlike the known images")
    farthest = np.argsort(-seen.distances, kind="stable")[: settings.unusual_shown]
    return ShiftVerdict(
        decision=both.decision, p_value=both.p_value, why=too_few or _why(distances, features),
        images=len(seen.distances), held_out=reference.held_out, unusual=unusual, distances=distances,
        features=features, class_mix=class_mix,
        answered={name: (int(new), int(old)) for name, old, new in zip(classes, *mix, strict=True)},
        outlier_indices=seen.rows[outliers].tolist(), most_unusual=seen.rows[farthest].tolist(),
        shift_detected=None if too_few else bool((unusual.value or 0) > settings.largest_outlier_share),
    )  # fmt: skip


def _too_few(reference: ShiftReference, seen: SeenImages, settings: ShiftSettings) -> str | None:
    least = settings.least_shift_images
    patients = "" if seen.groups is None else " of different groups"
    if seen.units < least:
        return f"{seen.units} images{patients} are too few for a verdict on all of them, {least} are needed"
    if reference.units < least:
        return f"the package knows {reference.units} independent held-out images, {least} are needed for a verdict"
    return None


def _in_deviations(test: TwoSampleTest, reference: ShiftReference) -> TwoSampleTest:
    """The effect in standard deviations of held-out images along one direction, in the mean over directions."""
    covariance = reference.held_out_covariance
    width = float(np.trace(covariance) / len(covariance)) ** 0.5
    effect = None if test.effect is None or not width else test.effect / width
    return TwoSampleTest(test.p_value, effect, test.method, test.why_none)


def _why(distances: TwoSampleTest, features: TwoSampleTest) -> str:
    told = []
    if distances.effect is not None and distances.p_value is not None:
        told.append(
            f"in {distances.effect:.0%} of pairs the new image is more unusual than the held-out one, 50 % where "
            f"nothing differs ({p_value(distances.p_value)})"
        )
    if features.effect is not None and features.p_value is not None:
        told.append(
            f"the mean features lie {features.effect:.2f} standard deviations apart ({p_value(features.p_value)})"
        )
    return "; ".join(told)


def as_figures(verdict: ShiftVerdict) -> dict[str, Any]:
    """Plain JSON values, without what is about single images."""
    return {
        "verdict": verdict.decision,
        "p_value": verdict.p_value,
        "shift_detected": verdict.shift_detected,
        "shift_score": verdict.shift_score,
        "images": verdict.images,
        "held_out_images": verdict.held_out,
        "unusual": verdict.unusual.as_json(),
        "expected_unusual": UNLIKE,
        "distances": _plain(verdict.distances),
        "features": _plain(verdict.features),
        "class_mix": _plain(verdict.class_mix),
        "answered": {name: {"here": new, "held out": old} for name, (new, old) in verdict.answered.items()},
    }


def _plain(test: TwoSampleTest) -> dict[str, Any]:
    return {"p_value": test.p_value, "effect": test.effect, "why_none": test.why_none}
