"""What fairness is measured from: how often each group of people (or sites, …) got which answer to which true class.

All rates of a group follow from one table of counts, group × true class × answer, which is made in one pass over the
images and takes no memory worth naming. Where images come in patients, sums by patient stand beside it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtrit

from vitrail.measures.intervals import normal_quantile

PIECE = 1 << 18
"""Images counted at a time: few enough that what is computed of them stays in the processor's cache."""

Kind = Literal["positive_rate", "tpr", "fpr", "accuracy"]


def contingency_table(
    group: Int[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    *,
    groups: int,
    classes: int,
) -> Int[np.ndarray, "G K K"]:
    """How many images of each group and true class got each answer. Memory is that of the table, however many images.

    Args:
        group: of each image, from 0 on; a negative number is counted nowhere.
        labels: number of the true class.
        predicted: number of the class that was answered.
        groups: how many there are (G).
        classes: how many there are (K).

    >>> contingency_table(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0, 1, 1]), groups=2, classes=2).tolist()
    [[[1, 0], [0, 0]], [[0, 1], [0, 1]]]
    """
    size = (groups + 1) * classes * classes
    counts = np.zeros(size, dtype=np.int64)
    rows = max(PIECE, size)
    # The first group of the longer table takes what has no group.
    for start in range(0, len(group), rows):
        part = slice(start, start + rows)
        cell = np.maximum(group[part], -1).astype(np.int64)
        cell += 1
        cell *= classes
        cell += labels[part]
        cell *= classes
        cell += predicted[part]
        counts += np.bincount(cell, minlength=size)
    return counts.reshape(groups + 1, classes, classes)[1:]


@dataclass(frozen=True)
class Shares:
    """One rate in every group: hits among trials.

    Attributes:
        kind: `positive_rate` (answered "this class", of all images), `tpr` (of those of this class), `fpr` (of those
            of other classes), `accuracy` (answered rightly, of all images).
        of_class: its number; None for accuracy.
        hits: by group.
        trials: by group.
        effective: trials that are worth as much, had they been independent; those of `trials` where they are.
        size: what a group is measured by when it is asked whether it is too small: trials, or patients with any.
    """

    kind: Kind
    of_class: int | None
    hits: Int[np.ndarray, "G"]
    trials: Int[np.ndarray, "G"]
    effective: Float[np.ndarray, "G"]
    size: Int[np.ndarray, "G"]


def shares_of(table: Int[np.ndarray, "G K K"], of_classes: list[int]) -> list[Shares]:
    """Accuracy, and of each class against the rest the rates, from a contingency table."""
    images, true = table.sum((1, 2)), table.sum(2)
    said, right = table.sum(1), np.diagonal(table, axis1=1, axis2=2)
    counted: list[tuple[Kind, int | None, np.ndarray, np.ndarray]] = [("accuracy", None, right.sum(1), images)]
    for k in of_classes:
        counted.append(("positive_rate", k, said[:, k], images))
        counted.append(("tpr", k, right[:, k], true[:, k]))
        counted.append(("fpr", k, said[:, k] - right[:, k], images - true[:, k]))
    return [Shares(kind, k, hits, trials, trials.astype(np.float64), trials) for kind, k, hits, trials in counted]


@dataclass(frozen=True)
class Units:
    """What is drawn by lot where images come in patients: each patient, once for each group it has images in.

    Attributes:
        of_image: number of the unit of each image.
        group: of each unit.
        main_class: the true class that most of a unit's images have.
    """

    of_image: Int[np.ndarray, "N"]
    group: Int[np.ndarray, "M"]
    main_class: Int[np.ndarray, "M"]

    @classmethod
    def of(
        cls, group: Int[np.ndarray, "N"], patients: Int[np.ndarray, "N"], labels: Int[np.ndarray, "N"], *, classes: int
    ) -> "Units":
        """The units of images that all have a group, from 0 on."""
        groups = int(group.max()) + 1 if len(group) else 1
        pairs, of_image = np.unique(patients.astype(np.int64) * groups + group, return_inverse=True)
        cells, counts = np.unique(of_image * classes + labels, return_counts=True)
        # Of the cells of a unit the one with most images stands first, of equals that of the first class.
        order = np.lexsort((cells % classes, -counts, cells // classes))
        first = order[np.unique(cells[order] // classes, return_index=True)[1]]
        return cls(of_image, pairs % groups, cells[first] % classes)

    def sums(
        self, shares: Shares, labels: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"]
    ) -> tuple[Float[np.ndarray, "M"], Float[np.ndarray, "M"]]:
        """Hits and trials of every unit."""
        k = shares.of_class
        said = predicted == (labels if k is None else k)
        among = {"tpr": labels == k, "fpr": labels != k}.get(shares.kind, np.ones(len(labels), dtype=bool))
        count = len(self.group)
        hits, trials = (np.bincount(self.of_image[mask], minlength=count) for mask in (said & among, among))
        return hits.astype(np.float64), trials.astype(np.float64)

    def worth(self, shares: Shares, hits: Float[np.ndarray, "M"], trials: Float[np.ndarray, "M"]) -> Shares:
        """The same shares with how many independent trials they are worth, and how many patients there are.

        Source: J. N. K. Rao and A. J. Scott (1992), A simple method for the analysis of clustered binary data,
        Biometrics 48, p. 577; widened as Student's t is for few patients; never more than the trials.
        """
        groups = len(shares.hits)
        units = np.bincount(self.group[trials > 0], minlength=groups)
        rate = np.divide(shares.hits, shares.trials, out=np.zeros(groups), where=shares.trials > 0)
        squares = np.bincount(self.group, weights=(hits - rate[self.group] * trials) ** 2, minlength=groups)
        effective = units.astype(np.float64)
        spread = (squares > 0) & (units > 1) & (rate > 0) & (rate < 1)
        for g in np.flatnonzero(spread):
            few = stdtrit(units[g] - 1, 0.975) / normal_quantile(0.95)
            variance = few**2 * units[g] / (units[g] - 1) * squares[g] / shares.trials[g] ** 2
            effective[g] = min(rate[g] * (1 - rate[g]) / variance, shares.trials[g])
        return Shares(shares.kind, shares.of_class, shares.hits, shares.trials, effective, units)
