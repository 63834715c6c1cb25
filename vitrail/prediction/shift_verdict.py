"""Are these images, as a whole, like those that a model knows? The verdict on many, from answers as they come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
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
        trained_on: images that were given, too, and that the model was trained on: they are known, and in no figure.
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
    trained_on: int = 0

    @property
    def shift_score(self) -> float | None:
        """The share of images beyond the 95th percentile of held-out ones."""
        return self.unusual.value


@dataclass(frozen=True, eq=False)
class GatheredImages:
    """What is known of the images that are judged.

    Attributes:
        distances: to the nearest class.
        predicted: class numbers.
        rows: their places among the images that were given.
        groups: patients, numbered from 0; None where every image stands for itself.
        places: their means by stratum along the reference's directions; None for fewer than two images.
        trained_on: how many images were given beside these that the model was trained on. They lie nearer than new
            images do, because the reference was computed from them, and have no part in the verdict.
    """

    distances: Float[np.ndarray, "N"]
    predicted: Int[np.ndarray, "N"]
    rows: Int[np.ndarray, "N"]
    groups: Int[np.ndarray, "N"] | None
    places: StratumMeans | None
    trained_on: int = 0

    @classmethod
    def of(
        cls,
        reference: ShiftReference,
        features: Float[np.ndarray, "N D"],
        predicted: Int[np.ndarray, "N"],
        groups: Int[np.ndarray, "N"] | None = None,
        trained_on: Bool[np.ndarray, "N"] | None = None,
    ) -> "GatheredImages":
        """From features that are all there, without the images that were trained on."""
        rows = np.arange(len(features)) if trained_on is None else np.flatnonzero(~trained_on)
        new, answered = features[rows], predicted[rows]
        own = None if groups is None else np.unique(groups[rows], return_inverse=True)[1]
        units = len(rows) if own is None else len(np.unique(own))
        strata, number = reference.stratum_of_class[answered], len(reference.stratum_means)
        places = StratumMeans.of(reference.places(new, answered), strata, own, number=number) if units > 1 else None
        distances = mahalanobis_distance(reference.distances, new)
        return cls(distances, answered, rows, own, places, len(features) - len(rows))

    @property
    def units(self) -> int:
        """Independent pieces of evidence."""
        return len(self.distances) if self.groups is None else int(self.groups.max(initial=-1)) + 1

    @property
    def new_share(self) -> float:
        """The share of new images among all that were given."""
        given = len(self.distances) + self.trained_on
        return len(self.distances) / given if given else 1.0


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
        predicted: the most probable classes' numbers, as of the reference's images; a decision has no say in it.
        settings: when images count as shifted.
        classes: names by number.
        groups: patients, numbered from 0 without gaps; images of one count as one piece of evidence.
        seed: of the draws for the mix of classes.

    Raises:
        InputError: a feature is NaN or infinite, or of another width.
    """
    gathered = GatheredImages.of(reference, features, predicted, groups)
    return judged_shift(reference, gathered, settings, classes=classes, seed=seed)


def judged_shift(
    reference: ShiftReference, gathered: GatheredImages, settings: ShiftSettings, *, classes: Sequence[str],
    seed: int = 0,
) -> ShiftVerdict:  # fmt: skip
    """The verdict from what was gathered of images; see `shift_of` for the arguments."""
    p_values = conformal_p_values(reference.scores, gathered.distances)
    outliers = are_unlike(p_values)
    too_few = _too_few(reference, gathered, settings)
    mix = tuple(np.bincount(each, minlength=len(classes)) for each in (reference.score_classes, gathered.predicted))
    none = TwoSampleTest(None, None, "", too_few)
    distances = features = class_mix = none
    both, why = SampleVerdict("not enough images", None), too_few
    if too_few is None and gathered.places is not None:
        distances = score_test(reference.scored, Scored(gathered.distances, gathered.predicted, gathered.groups))
        features = _in_deviations(stratified_mean_test(reference.strata, gathered.places), reference)
        class_mix = class_mix_test(*mix, seed=seed)
        both = combined_verdict(
            distances, features, alpha=settings.shift_level, least_score=settings.least_distance_shift,
            least_mean=settings.least_mean_shift,
        )  # fmt: skip
    if too_few is not None and gathered.new_share < settings.largest_outlier_share:
        both, too_few = SampleVerdict("not shifted", None), None
        why = _known(gathered)
    elif _are_held_out(reference, gathered):
        why = "these are the images by which the package knows what is usual, so that nothing can differ"
    unusual = wilson(int(outliers.sum()), len(outliers), name="unlike the known images")
    farthest = np.argsort(-gathered.distances, kind="stable")[: settings.unusual_shown]
    return ShiftVerdict(
        decision=both.decision, p_value=both.p_value, why=why or _why(distances, features),
        images=len(gathered.distances), held_out=reference.held_out, unusual=unusual, distances=distances,
        features=features, class_mix=class_mix,
        answered={name: (int(new), int(old)) for name, old, new in zip(classes, *mix, strict=True)},
        outlier_indices=gathered.rows[outliers].tolist(), most_unusual=gathered.rows[farthest].tolist(),
        trained_on=gathered.trained_on,
        shift_detected=None if too_few else bool((unusual.value or 0) > settings.largest_outlier_share),
    )  # fmt: skip


def _too_few(reference: ShiftReference, gathered: GatheredImages, settings: ShiftSettings) -> str | None:
    least = settings.least_shift_images
    patients = "" if gathered.groups is None else " of different groups"
    if gathered.units < least:
        new = " new" if gathered.trained_on else ""
        return f"{gathered.units}{new} images{patients} are too few for a verdict on all of them, {least} are needed"
    if reference.units < least:
        return f"the package knows {reference.units} independent held-out images, {least} are needed for a verdict"
    return None


def _known(gathered: GatheredImages) -> str:
    """Why hardly anything new was given; see `largest_outlier_share`."""
    new = len(gathered.distances)
    given = gathered.trained_on + new
    if not new:
        return f"the model was trained on these very images, all {given:,}"
    return f"the model was trained on {gathered.trained_on:,} of these {given:,} images themselves"


def _are_held_out(reference: ShiftReference, gathered: GatheredImages) -> bool:
    """Whether the images are those of the reference: to the last digit as far away, image by image."""
    places = np.searchsorted(reference.scores, gathered.distances).clip(1, max(1, len(reference.scores) - 1))
    nearest = np.minimum(*(abs(reference.scores[places - back] - gathered.distances) for back in (0, 1)))
    return bool(len(nearest) and (nearest <= 1e-6 * gathered.distances).mean() > 0.9)


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
        "trained_on": verdict.trained_on,
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
