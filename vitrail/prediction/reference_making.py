"""From features of known images to the reference that new ones are compared with."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from vitrail.data.preprocessing import Preprocessing
from vitrail.measures.conformal_p_values import conformal_threshold, least_held_out
from vitrail.measures.covariance import Moments
from vitrail.measures.mahalanobis import ClassDistances, fit_class_distances, mahalanobis_distance
from vitrail.measures.stratified_means import StratumMeans
from vitrail.measures.two_samples import MeanAndSpread
from vitrail.models.parts.shift_reference import ShiftReference, preprocessing_digest

LEAST_OF_A_CLASS = 5
"""Images of which a mean says nothing that can be traced to one; a rarer class shares its mean with other rare ones."""
LEAST_TRAINING = 20
"""Images that a covariance must be of."""
LEAST_HELD_OUT = least_held_out(0.05)
"""With fewer no image could be called unlike at 5 %."""
DIRECTIONS = 32
"""Along so many directions the mean of new images is compared (trust.md's advice for high dimensions)."""
MOST_IMAGES = 2000
"""Training images, and held-out ones, that a reference is made of; more make it hardly surer and take longer."""


@dataclass(frozen=True, eq=False)
class KnownFeatures:
    """Pooled features of images that a reference is made of, exact as predictions are computed.

    Attributes:
        training: (N, D).
        labels: (N,), class numbers of the package.
        held_out: (M, D), of images that the model was not trained on.
        predicted: (M,), the classes that it answered for them.
        groups: (M,), numbers of their groups; None where images are independent.
        source: which images these were, in a few words; no path.
    """

    training: Float[np.ndarray, "N D"]
    labels: Int[np.ndarray, "N"]
    held_out: Float[np.ndarray, "M D"]
    predicted: Int[np.ndarray, "M"]
    groups: Int[np.ndarray, "M"] | None
    source: str


def why_no_reference(training: int, held_out: int) -> str | None:
    """Why so few images make no reference, in words; None where they suffice."""
    if training < LEAST_TRAINING:
        return f"{training} training images are too few to say what images look like, {LEAST_TRAINING} are needed"
    if held_out < LEAST_HELD_OUT:
        return f"{held_out} held-out images are too few to tell unlike images at 5 %, {LEAST_HELD_OUT} are needed"
    return None


def made_reference(known: KnownFeatures, *, classes: int, preprocessing: Preprocessing) -> ShiftReference:
    """The reference of a package with so many classes; there are images enough (`why_no_reference`).

    Raises:
        InputError: a feature is NaN or infinite, or nothing varies.
    """
    rows, mean_of_class = _rows_of_means(known.labels, classes)
    in_one = rows >= 0
    fitted = fit_class_distances(known.training[in_one], rows[in_one])
    kept = ClassDistances(
        centre=_float32(fitted.centre), means=_float32(fitted.means), shared=_float32(fitted.shared),
        overall=_float32(fitted.overall),
    )  # fmt: skip
    scores = mahalanobis_distance(kept, known.held_out)
    order = np.argsort(scores, kind="stable")
    groups = np.arange(len(scores)) if known.groups is None else known.groups
    directions = _float32(_directions(known.training[in_one], rows[in_one], fitted))
    reference = ShiftReference(
        centre=kept.centre, means=kept.means, shared=kept.shared, overall=kept.overall,
        mean_of_class=mean_of_class.astype("<i4"), directions=directions, scores=scores[order],
        score_classes=known.predicted[order].astype("<i4"), score_groups=_renumbered(groups[order]),
        relative_scores=np.sort(kept.relative(known.held_out)), held_out_mean=np.zeros(directions.shape[1]),
        held_out_covariance=np.eye(directions.shape[1]), stratum_of_class=np.zeros(classes, "<i4"),
        stratum_means=np.zeros((1, directions.shape[1])), stratum_covariance=np.eye(directions.shape[1]),
        units=int(groups.max()) + 1,
        facts=_facts(known, rows, fitted, conformal_threshold(scores[order]), preprocessing),
    )  # fmt: skip
    places = reference.places(known.held_out, known.predicted)
    of_all = MeanAndSpread.of_groups(places, known.groups)
    strata, stratum_of_class = _rows_of_means(known.predicted, classes)
    by_stratum = StratumMeans.of(places, strata, known.groups, number=int(stratum_of_class.max()) + 1)
    return replace(
        reference, held_out_mean=of_all.mean, held_out_covariance=of_all.covariance,
        stratum_of_class=stratum_of_class.astype("<i4"), stratum_means=by_stratum.means,
        stratum_covariance=by_stratum.covariance,
    )  # fmt: skip


def _rows_of_means(labels: Int[np.ndarray, "N"], classes: int) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "K"]]:
    """Of every image the row of the mean it belongs to, of every class likewise; rare classes share the last row, and
    where even together they are rare, they have none (−1)."""
    counts = np.bincount(labels, minlength=classes)
    own = counts >= LEAST_OF_A_CLASS
    mean_of_class = np.where(own, np.cumsum(own) - 1, -1)
    rare = ~own & (counts > 0)
    if counts[rare].sum() >= LEAST_OF_A_CLASS:
        mean_of_class[rare] = int(own.sum())
    return mean_of_class[labels], mean_of_class


def _directions(
    training: Float[np.ndarray, "N D"], rows: Int[np.ndarray, "N"], fitted: ClassDistances
) -> Float[np.ndarray, "D k"]:
    """The widest directions of all training features, divided by the width that they have within classes."""
    wide = min(DIRECTIONS, training.shape[1], max(1, len(training) // 4))
    widest = fitted.overall[:, :wide]
    within = Moments.of(training - fitted.means[rows]).shrunk().matrix
    widths = np.einsum("dk,de,ek->k", widest, within, widest) ** 0.5
    return widest / np.maximum(widths, 1e-12 * widths.max())


def _facts(
    known: KnownFeatures, rows: Int[np.ndarray, "N"], fitted: ClassDistances, percentile: float,
    preprocessing: Preprocessing,
) -> dict:  # fmt: skip
    return {
        "source": known.source,
        "training_images": int((rows >= 0).sum()),
        "images_by_mean": np.bincount(rows[rows >= 0]).tolist(),
        "left_out": int((rows < 0).sum()),
        "held_out_images": len(known.held_out),
        "shrinkage": round(fitted.shrinkage, 6),
        "overall_shrinkage": round(fitted.overall_shrinkage, 6),
        "percentile_95": percentile,
        "preprocessing": preprocessing_digest(preprocessing),
    }


def _float32(array: np.ndarray) -> np.ndarray:
    return array.astype("<f4")


def _renumbered(groups: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """The same groups, numbered as they come: their old numbers told the order of the table."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype("<i4")
