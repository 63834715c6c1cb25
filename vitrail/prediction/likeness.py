"""How like the images that a model knows an image is: the verdict on one image, from the package's reference."""

import contextlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import betaln

from vitrail.basics.errors import PackageError
from vitrail.measures.conformal_p_values import conformal_p_values
from vitrail.measures.mahalanobis import mahalanobis_distance
from vitrail.models.package import Package
from vitrail.models.parts.seen import Seen
from vitrail.models.parts.shift_reference import ShiftReference, preprocessing_digest
from vitrail.prediction.answers import TIE, UNLIKE

_HOW_TO_GET_ONE = "vitrail watch PACKAGE DATA --write-reference NEW writes a package that has one, from labelled images"


def package_reference(package: Package) -> ShiftReference:
    """What the package says of the images that it knows.

    Raises:
        PackageError: it has no such part, the part makes no sense, is of features of another width, or was made with
            another preprocessing.
    """
    if ShiftReference.name not in package.parts:
        raise PackageError(
            f"{package.folder}: the package does not say what the images are like that it knows (it has no part "
            f"{ShiftReference.name!r})",
            hint=_HOW_TO_GET_ONE,
        )
    reference = package.part(ShiftReference)
    made, now = reference.facts.get("preprocessing"), preprocessing_digest(package.preprocessing)
    if made != now:
        raise PackageError(
            f"{package.folder}: its part {ShiftReference.name!r} was made with another preprocessing "
            f"({str(made)[:16]}) than the package's ({now}); features of images seen in another way cannot be compared",
            hint=_HOW_TO_GET_ONE,
        )
    if len(reference.mean_of_class) != len(package.classes):
        raise PackageError(
            f"{package.folder}: its part {ShiftReference.name!r} knows {len(reference.mean_of_class)} classes, the "
            f"package {len(package.classes)}",
            hint=_HOW_TO_GET_ONE,
        )
    return reference


def reference_or_reason(package: Package) -> tuple[ShiftReference | None, PackageError | None]:
    """What the package says of known images, or why it cannot be asked; the model can be used all the same."""
    try:
        return package_reference(package), None
    except PackageError as error:
        return None, error


def trained_images(package: Package) -> Seen | None:
    """What a package knows of the images that it was trained on; None where it knows nothing that can be read."""
    with contextlib.suppress(PackageError):
        return package.part(Seen)
    return None


def trained_count(package: Package, ids: Sequence[str]) -> int | None:
    """How many of these images a package was trained on; None where it does not know."""
    seen = trained_images(package)
    return None if seen is None else int(seen.overlap(ids).sum())


def likenesses(reference: ShiftReference | None, features: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N"] | None:
    """Of every image, the share of known images that are as far from their kind or farther: its conformal p-value.

    Near 1: in the middle of what is known. Rows of NaN (images that could not be read) give NaN. In (0, 1], and
    uniform for images that nothing is wrong with. None where there is no reference.
    """
    if reference is None:
        return None
    found = np.full(len(features), np.nan)
    there = np.isfinite(features).all(axis=1)
    if there.any():
        distances = mahalanobis_distance(reference.distances, features[there])
        found[there] = conformal_p_values(reference.scores, distances)
    return found


def are_unlike(likeness: Float[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    """Which images are unlike the known ones; NaN is not."""
    return likeness <= UNLIKE + TIE


def unlike_sentence(unlike: int, images: int, held_out: int) -> str | None:
    """What to say after `images` were answered of which `unlike` are unlike the known ones; None where none is.

    Whether these are more than chance gives is asked of the beta-binomial distribution: the threshold itself comes
    from a limited number of held-out images.
    """
    if not unlike:
        return None
    expected = round(UNLIKE * images)
    usual = "fewer than one" if not expected else f"{expected:,}"
    told = (
        f"{unlike:,} of {images:,} images {'is' if unlike == 1 else 'are'} unlike the images this model was trained "
        f"and checked on; expected {'were' if expected > 1 else 'was'} {usual}"
    )
    if more_than_chance(unlike, images, held_out):
        return f"{told}. Do not trust the answers to them: no figure of the report is about such images."
    return f"{told}, so that may be chance. Look at these images before you trust the answers to them."


def more_than_chance(unlike: int, images: int, held_out: int, *, alpha: float = 0.01) -> bool:
    """Whether so many unlike images are a reason for alarm.

    Source: of m new scores, those beyond the r-th largest of n held-out ones follow a beta-binomial distribution with
    parameters r and n + 1 − r, whatever the scores' own distribution is (negative hypergeometric, as order statistics
    have it).
    """
    rank = int(np.floor(UNLIKE * (held_out + 1) + 1e-9))
    return rank > 0 and _at_least(unlike, images, rank, held_out + 1 - rank) < alpha


def _at_least(count: int, trials: int, a: int, b: int) -> float:
    """The probability of so many or more, of the beta-binomial distribution."""
    k = np.arange(count, trials + 1)
    of_each = -np.log(trials + 1) - betaln(k + 1, trials - k + 1) + betaln(k + a, trials - k + b) - betaln(a, b)
    return float(np.exp(of_each).sum())
