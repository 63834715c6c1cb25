"""Sets of classes that hold the true one as often as was asked for: conformal prediction.

The rank is never interpolated (as a plain quantile is, in torch-uncertainty among others): of 19 images for sets at
90 % it would cover 86 %.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.measures.conformal_p_values import conformal_threshold
from vitrail.measures.intervals import Measure
from vitrail.measures.means import mean, share

FOLDS = 5
SLACK = 1e-12
"""A probability that was written down and read again must not leave the set it was in."""


@dataclass(frozen=True)
class ConformalSets:
    """What sets of classes at this level are like on images that had no part in their making.

    `coverage` is the share of images whose true class is in their set; `per_class` the same of the images of each class
    (it is not promised class by class). `size` is the mean number of classes in a set, `single` the share of sets of
    one class. `least_probability` is what a class needs to be in a set if all images are taken, 0 where there are too
    few for any class to be left out.
    """

    level: float
    coverage: Measure
    size: Measure
    single: Measure
    per_class: tuple[Measure, ...]
    least_probability: float
    folds: int

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def conformal_quantile(
    labels: Int[np.ndarray, "N"], probabilities: Float[np.ndarray, "N K"], *, level: float = 0.9
) -> float:
    """1 − probability up to which classes are in a set: the ⌈(N+1)·level⌉-th smallest of the true classes' own.

    Infinite where there are too few images (N < level / (1 − level)): every class is in every set then.

    Source: M. Sadinle, J. Lei, L. Wasserman (2019), Least Ambiguous Set-Valued Classifiers, JASA 114, p. 223; for the
    rank, V. Vovk, A. Gammerman, G. Shafer (2005), Algorithmic Learning in a Random World, section 2.2.

    >>> conformal_quantile(np.zeros(9, int), np.tile([0.7, 0.3], (9, 1)), level=0.9)
    0.30000000000000004
    >>> conformal_quantile(np.zeros(8, int), np.tile([0.7, 0.3], (8, 1)), level=0.9)
    inf
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return conformal_threshold(np.sort(1 - true), alpha=1 - level)


def conformal_members(probabilities: Float[np.ndarray, "N K"], quantile: float | int) -> Bool[np.ndarray, "N K"]:
    """Which classes are in the set of each image; the most probable one always is.

    An empty set would say "none of these classes", which a model that knows no others cannot say.
    """
    members = 1 - probabilities <= quantile + SLACK
    members[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return members


def conformal_sets(
    labels: Int[np.ndarray, "N"],
    probabilities: Float[np.ndarray, "N K"],
    *,
    classes: Sequence[str],
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
    level: float = 0.9,
) -> ConformalSets:
    """How large sets must be to hold the true class in `level` of all cases, and whether they then do.

    Images are divided into five parts; the sets of each part come from the other parts, so that no image has a say in
    its own. Images of one group are in one part; a level is promised for new images of the kind of these, and for
    groups only nearly.

    Args:
        labels: class numbers.
        probabilities: each row sums to 1.
        classes: names, in the order of the columns.
        groups: the patient of each image, numbered from 0 without gaps.
        seed: of the division.
        level: above 0 and below 1.
    """
    units = np.arange(len(labels)) if groups is None else groups
    parts = _parts(units, seed=seed)
    folds = int(parts.max()) + 1 if len(parts) else 0
    if folds < 2:
        why = "all these images belong to one group" if len(labels) > 1 else "it takes two images or more"
        nothing = [Measure(name, None, len(labels), undefined_because=why) for name in _NAMES]
        each = tuple(
            Measure("coverage", None, int((labels == k).sum()), undefined_because=why) for k in range(len(classes))
        )
        return ConformalSets(level, nothing[0], replace(nothing[1], scale="number"), nothing[2], each, 0.0, folds)
    members = np.zeros(probabilities.shape, bool)
    for part in range(folds):
        others, own = parts != part, parts == part
        quantile = conformal_quantile(labels[others], probabilities[others], level=level)
        members[own] = conformal_members(probabilities[own], quantile)
    held, sizes = members[np.arange(len(labels)), labels], members.sum(axis=1)
    return ConformalSets(
        level=level,
        coverage=share(held, name=_NAMES[0], groups=groups),
        size=mean(sizes.astype(np.float64), name=_NAMES[1], groups=groups),
        single=share(sizes == 1, name=_NAMES[2], groups=groups),
        per_class=tuple(_of_class(held, labels == number, name, groups) for number, name in enumerate(classes)),
        least_probability=max(0.0, 1 - conformal_quantile(labels, probabilities, level=level)),
        folds=folds,
    )


_NAMES = ("coverage", "classes in a set", "sets of one class")


def _parts(units: Int[np.ndarray, "N"], *, seed: int) -> Int[np.ndarray, "N"]:
    """Which part each image is in; images of one unit are in one part, and parts have equally many units."""
    known, unit = np.unique(units, return_inverse=True)
    numbers = np.arange(len(known)) % min(FOLDS, max(1, len(known)))
    return np.random.default_rng(seed).permutation(numbers)[unit]


def _of_class(
    held: Bool[np.ndarray, "N"], own: Bool[np.ndarray, "N"], name: str, groups: Int[np.ndarray, "N"] | None
) -> Measure:
    if not own.any():
        return Measure("coverage", None, 0, undefined_because=f"no image of class {name!r}")
    within = None if groups is None else np.unique(groups[own], return_inverse=True)[1]
    return share(held[own], name="coverage", groups=within)
