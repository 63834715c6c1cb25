"""How a classifier bears corrupted pictures, beside a reference: the mean corruption error."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.basics.errors import InputError
from vitrail.measures.intervals import Measure, affordable_resamples, bootstrapped, cluster_bootstrap

ALEXNET_ERRORS = {
    "gaussian_noise": 0.886428, "shot_noise": 0.894468, "impulse_noise": 0.922640, "defocus_blur": 0.819880,
    "motion_blur": 0.785948, "zoom_blur": 0.798360, "snow": 0.866816, "fog": 0.819324, "brightness": 0.564592,
    "contrast": 0.853204, "elastic_transform": 0.646056, "pixelate": 0.717840, "jpeg_compression": 0.606500,
}  # fmt: skip
"""AlexNet's mean error over the five severities, on ImageNet's classes and at 224 pixels; on other images they mean
nothing. Source: `benchmarks/ood/imagenet_c.py` of alibaba/easyrobust, the figures of arXiv:1903.12261. Frost and glass
blur, which Vitrail has not, are left out."""


@dataclass(frozen=True)
class CorruptionErrors:
    """Errors on corrupted pictures.

    Attributes:
        mean_accuracy: the mean over corruptions of the accuracy over their severities.
        relative_drop: how much of the clean accuracy that is: (clean - corrupted) / clean.
        by_corruption: each corruption's mean error over its severities.
        mean_corruption_error: the mean over corruptions of that error divided by the reference's, in the same
            corruption; 1 is as good as the reference, below is better. None where there is no reference.
        reference: what the reference is called.
        compared: the corruptions that both were measured on.
    """

    mean_accuracy: Measure
    relative_drop: Measure
    by_corruption: Mapping[str, float]
    mean_corruption_error: Measure | None
    reference: str | None
    compared: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return {**asdict(self), "compared": list(self.compared), "by_corruption": dict(self.by_corruption)}


def corruption_errors(
    clean: Bool[np.ndarray, "N"],
    right: Mapping[str, Bool[np.ndarray, "S N"]],
    *,
    reference: Mapping[str, float] | None = None,
    reference_name: str = "reference",
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> CorruptionErrors:
    """How often a classifier is right about corrupted pictures; intervals are a bootstrap over images or groups.

    Args:
        clean: whether it is right about each picture as it is.
        right: by corruption, whether it is right at each severity (rows) about each picture.
        reference: by corruption, a reference's mean error over the same severities; its interval is not known, so it
            is taken as it is.
        reference_name: what the reference is called.
        groups: the patient of each image, numbered from 0 without gaps.
        seed: of the bootstrap.

    Raises:
        InputError: no corruption was measured.

    Source: D. Hendrycks and T. Dietterich (2019), arXiv:1903.12261, section 4.2, equation of the mean CE; without a
    reference nothing in it has a meaning, and the mean accuracy and its relative drop stand instead.

    >>> right = {"fog": np.array([[True, False, True, False]]), "snow": np.array([[True, False, False, False]])}
    >>> errors = {"fog": 0.5, "snow": 0.75}
    >>> found = corruption_errors(np.array([True] * 4), right, reference=errors)
    >>> found.mean_corruption_error.value, found.mean_accuracy.value, found.relative_drop.value
    (1.0, 0.375, 0.625)
    """
    if not right:
        raise InputError("no corruption was measured", hint="name some")
    names, n = list(right), len(clean)
    by_image = np.stack([1 - right[name].mean(axis=0) for name in names], axis=1)  # N images, corruptions
    columns, against, why_not = _comparable(names, reference)
    clusters = np.arange(n) if groups is None else groups

    def statistics(weights: Float[np.ndarray, "R N"]) -> Float[np.ndarray, "R 3"]:
        total = weights.sum(axis=1, keepdims=True)
        errors, kept = weights @ by_image / total, (weights @ clean / total[:, 0])
        accuracy = 1 - errors.mean(axis=1)
        drop = np.divide(kept - accuracy, kept, out=np.full_like(kept, np.nan), where=kept > 0)
        relative = (errors[:, columns] / against).mean(axis=1) if len(columns) else np.full(len(weights), np.nan)
        return np.stack([accuracy, drop, relative], axis=1)

    values = statistics(np.ones((1, n)))[0].tolist()
    replicates = cluster_bootstrap(
        statistics, clusters, seed=seed, resamples=affordable_resamples(n, columns=len(names))
    )

    def measured(name: str, place: int, because: str | None, scale: Any) -> Measure:
        defined = not np.isnan(values[place])
        measure = Measure(name, values[place] if defined else None, n, scale=scale)
        if not defined:
            return replace(measure, undefined_because=because)
        return bootstrapped(measure, replicates[:, place], clusters=clusters)

    mean_error = None if reference is None else measured("mean corruption error", 2, why_not, "number")
    return CorruptionErrors(
        measured("mean corrupted accuracy", 0, None, "percent"),
        measured("relative drop", 1, "no picture is answered rightly even as it is", "number"),
        {name: float(value) for name, value in zip(names, by_image.mean(axis=0), strict=True)},
        mean_error,
        None if reference is None else reference_name,
        tuple(names[place] for place in columns),
    )


def _comparable(
    names: Sequence[str], reference: Mapping[str, float] | None
) -> tuple[Int[np.ndarray, "M"], Float[np.ndarray, "M"], str | None]:
    """Which corruptions the reference has, its errors in them, and why there is none."""
    known = {name: error for name, error in (reference or {}).items() if name in names}
    if not known:
        return np.array([], dtype=np.int64), np.array([]), "the reference was measured on none of these corruptions"
    perfect = [name for name, error in known.items() if error <= 0]
    if perfect:
        why = f"the reference makes no mistake in {perfect[0]}, so that nothing can be divided by its errors"
        return np.array([], dtype=np.int64), np.array([]), why
    columns = [place for place, name in enumerate(names) if name in known]
    return np.array(columns), np.array([known[names[place]] for place in columns]), None
