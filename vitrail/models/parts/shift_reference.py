"""The part `shift_reference`: what the images of a fit look like to its model, so that others can be told from them."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from vitrail.data.preprocessing import Preprocessing
from vitrail.measures.conformal_p_values import conformal_threshold
from vitrail.measures.mahalanobis import ClassDistances
from vitrail.measures.stratified_means import StratumMeans, units_and_freedom
from vitrail.measures.two_samples import Scored
from vitrail.models.package_parts import PackagePart, PartContent

_ABOUT = (
    "means of the training images' pooled features by class, their covariance, and how far held-out images lie from "
    "them, each and in the mean of a class; no features of a single image"
)
_WIDEST = 65_536


@dataclass(frozen=True, eq=False)
class ShiftReference(PackagePart):
    """What a model's features of known images are like.

    No vector of a single image is in it: a class with fewer images than `reference_making.LEAST_OF_A_CLASS` has no mean
    of its own, neither in training nor among held-out images; other means and covariances are of 19 images at least,
    and of a held-out image there is its distance, the class that was answered, and a number for its group.

    Attributes:
        centre: (D,), mean of the training features.
        means: (M, D), of the classes; the last one may be of several rare classes together.
        shared: (D, D), whitens features about their class mean; of the shrunk covariance that classes share.
        overall: (D, D), whitens features about the centre; of the shrunk covariance of all.
        mean_of_class: (K,), by class of the package, the row of its mean; −1 for a class without one.
        directions: (D, k), the widest directions of the overall covariance, each divided by its width within classes.
        scores: (N,), Mahalanobis distances of held-out images, ascending.
        score_classes: (N,), the class that the model answered for each.
        score_groups: (N,), numbers of their groups (patients); all different where images are independent.
        relative_scores: (N,), relative distances of held-out images, ascending.
        held_out_mean: (k,), mean place of held-out images along the directions, about the mean of the answered class.
        held_out_covariance: (k, k), of one unit's share in that mean.
        stratum_of_class: (K,), by answered class, the row of its held-out mean; rare ones share the last; −1: none.
        stratum_means: (S, k), mean place of the held-out images of a stratum. (Packages of before have one stratum.)
        stratum_covariance: (k, k), of one unit's share in the mean, images being about the mean of their stratum.
        units: independent ones (groups, or images) among the held-out images.
        facts: images per class, shrinkage, digest of the preprocessing, 95th percentile, ….
    """

    name = "shift_reference"

    centre: Float32[np.ndarray, " D"]
    means: Float32[np.ndarray, "M D"]
    shared: Float32[np.ndarray, "D D"]
    overall: Float32[np.ndarray, "D D"]
    mean_of_class: Int[np.ndarray, "K"]
    directions: Float32[np.ndarray, "D k"]
    scores: Float[np.ndarray, "N"]
    score_classes: Int[np.ndarray, "N"]
    score_groups: Int[np.ndarray, "N"]
    relative_scores: Float[np.ndarray, "N"]
    held_out_mean: Float[np.ndarray, " k"]
    held_out_covariance: Float[np.ndarray, "k k"]
    stratum_of_class: Int[np.ndarray, "K"]
    stratum_means: Float[np.ndarray, "S k"]
    stratum_covariance: Float[np.ndarray, "k k"]
    units: int
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def held_out(self) -> int:
        """Images that distances are compared with."""
        return len(self.scores)

    @cached_property
    def distances(self) -> ClassDistances:
        """What tells distances."""
        return ClassDistances(
            centre=self.centre.astype(np.float64), means=self.means.astype(np.float64),
            shared=self.shared.astype(np.float64), overall=self.overall.astype(np.float64),
        )  # fmt: skip

    @cached_property
    def threshold(self) -> float:
        """The distance beyond which at most 5 % of unchanged images lie (the 95th percentile, conformal)."""
        return conformal_threshold(self.scores)

    @property
    def scored(self) -> Scored:
        """Held-out distances, as the rank test takes them."""
        independent = self.units == self.held_out
        return Scored(self.scores, self.score_classes, None if independent else self.score_groups)

    @property
    def strata(self) -> StratumMeans:
        """Held-out places, as the test of means takes them."""
        strata = self.stratum_of_class[self.score_classes]
        there = strata >= 0
        units, freedom = units_and_freedom(strata[there], self.score_groups[there])
        counts = np.bincount(strata[there], minlength=len(self.stratum_means))
        return StratumMeans(counts, self.stratum_means, self.stratum_covariance, units, freedom)

    def places(self, features: Float[np.ndarray, "B D"], predicted: Int[np.ndarray, "B"]) -> Float[np.ndarray, "B k"]:
        """Where features lie along the directions, about the mean of the class that was answered for them."""
        rows = self.mean_of_class[predicted]
        about = np.where(rows[:, None] >= 0, self.distances.means[rows], self.distances.centre)
        return (features - about) @ self.directions.astype(np.float64)

    def content(self) -> PartContent:
        """What the package keeps: 8 · D² bytes and 48 a held-out image."""
        arrays = {name: getattr(self, name) for name in (*_FLOATS, *_NUMBERS)}
        return PartContent({"about": _ABOUT, "units": self.units, **self.facts}, arrays)

    @classmethod
    def from_content(cls, content: PartContent, *, version: int) -> "ShiftReference":
        """The part that `content` was written from.

        Raises:
            ValueError: it makes no sense; in words.
        """
        arrays = _with_strata(dict(content.arrays))
        missing = [name for name in (*_FLOATS, *_NUMBERS) if name not in arrays]
        if missing:
            raise ValueError(f"an array {missing[0]!r} was expected")
        sizes: dict[str, int] = {}
        for name, (kind, shape) in {**_FLOATS, **_NUMBERS}.items():
            _check_array(name, arrays[name], kind=kind, shape=shape, sizes=sizes)
        units = content.facts.get("units")
        if not (isinstance(units, int) and 2 <= units <= sizes["N"]):
            raise ValueError(f"units between 2 and {sizes['N']} were expected, found {str(units)[:40]}")
        _check_values(arrays, sizes)
        facts = {name: value for name, value in content.facts.items() if name not in ("about", "units")}
        return cls(**{name: arrays[name] for name in (*_FLOATS, *_NUMBERS)}, units=units, facts=facts)


def _with_strata(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parts of before strata were kept are of one stratum: the mix of classes moves their mean, too."""
    of_one = {"stratum_of_class": "mean_of_class", "stratum_means": "held_out_mean"}
    if any(name in arrays for name in of_one) or not {*of_one.values(), "held_out_covariance"} <= arrays.keys():
        return arrays
    return arrays | {
        "stratum_of_class": np.zeros_like(arrays["mean_of_class"]), "stratum_means": arrays["held_out_mean"][None],
        "stratum_covariance": arrays["held_out_covariance"],
    }  # fmt: skip


_FLOATS: dict[str, tuple[str, str]] = {
    "centre": ("<f4", "D"), "means": ("<f4", "M D"), "shared": ("<f4", "D D"), "overall": ("<f4", "D D"),
    "directions": ("<f4", "D k"), "scores": ("<f8", "N"), "relative_scores": ("<f8", "N"),
    "held_out_mean": ("<f8", "k"), "held_out_covariance": ("<f8", "k k"),
    "stratum_means": ("<f8", "S k"), "stratum_covariance": ("<f8", "k k"),
}  # fmt: skip
_NUMBERS: dict[str, tuple[str, str]] = {
    "mean_of_class": ("<i4", "K"), "score_classes": ("<i4", "N"), "score_groups": ("<i4", "N"),
    "stratum_of_class": ("<i4", "K"),
}  # fmt: skip


def _check_array(name: str, array: np.ndarray, *, kind: str, shape: str, sizes: dict[str, int]) -> None:
    axes = shape.split()
    if array.dtype != np.dtype(kind) or array.ndim != len(axes):
        raise ValueError(f"the array {name!r} of {len(axes)} axes of {np.dtype(kind)} was expected, found "
                         f"{array.dtype} {list(array.shape)}")  # fmt: skip
    for axis, size in zip(axes, array.shape, strict=True):
        if sizes.setdefault(axis, size) != size or not 1 <= size <= max(_WIDEST, 2 * sizes.get("N", 0)):
            raise ValueError(f"the array {name!r} has shape {list(array.shape)}, which does not go with the others")
    if not np.isfinite(array).all():
        raise ValueError(f"the array {name!r} holds NaN or infinity")


def _check_values(arrays: dict[str, np.ndarray], sizes: dict[str, int]) -> None:
    for name in ("scores", "relative_scores"):
        if (arrays[name][1:] < arrays[name][:-1]).any():
            raise ValueError(f"{name} in ascending order were expected")
    bounds = {"mean_of_class": (-1, sizes["M"]), "score_classes": (0, sizes["K"]), "score_groups": (0, sizes["N"]),
              "stratum_of_class": (-1, sizes["S"])}  # fmt: skip
    for name, (least, end) in bounds.items():
        if arrays[name].min() < least or arrays[name].max() >= end:
            raise ValueError(f"{name} between {least} and {end - 1} were expected")


def preprocessing_digest(preprocessing: Preprocessing) -> str:
    """A short name for a preprocessing: features of images seen in another way cannot be compared."""
    text = json.dumps(preprocessing.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
