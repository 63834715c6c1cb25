"""Deletion curves: how fast an answer goes when patches are taken away in a map's order, and whether that is chance."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from vitrail.measures.intervals import Measure, as_percent
from vitrail.measures.means import mean
from vitrail.measures.paired import sign_flip_p_value

Verdict = Literal["says more than chance", "not more than chance", "cannot be judged"]

CANNOT: Verdict = "cannot be judged"
MORE: Verdict = "says more than chance"
NOT_MORE: Verdict = "not more than chance"


@dataclass(frozen=True)
class Deletion:
    """One map's deletion curve beside those of maps that know nothing.

    Attributes:
        shares: of the patches that were taken away, from 0 to 1.
        probability: of the answer, at each share.
        area: under that curve, 0-1; the smaller, the more the answer stands on what the map marks.
        random_areas: of the random maps, smallest first.
        even_area: of a map that marks all patches alike, by which all of them fade together.
        p_value: how often a random map would have an area as small as this: (b + 1) / (m + 1) for b of m that have.
        verdict: `says more than chance` where all of at least 19 random maps, and the even one, have a larger area;
            `cannot be judged` where an empty picture gets the answer at least as surely as the whole one.
    """

    shares: list[float]
    probability: list[float]
    area: float
    random_areas: list[float]
    even_area: float
    p_value: float
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)

    def text(self) -> str:
        """One line for people."""
        if self.verdict == CANNOT:
            return f"{CANNOT}: an empty picture gets this answer with {as_percent(self.probability[-1])} %"
        low, high = self.random_areas[0], self.random_areas[-1]
        return (
            f"{self.verdict} (area {self.area:.2f}, random maps {low:.2f}–{high:.2f}, even {self.even_area:.2f}, "
            f"p = {self.p_value:.2f})"
        )


def area_under(probability: Float[np.ndarray, "S"], shares: Float[np.ndarray, "S"]) -> float:
    """The area under a curve over [0, 1], by the trapezoid rule.

    >>> area_under(np.array([1.0, 0.5, 0.0]), np.array([0.0, 0.5, 1.0]))
    0.5
    """
    return float(np.trapezoid(probability, shares))


def judged_deletion(
    probability: Float[np.ndarray, "S"],
    shares: Float[np.ndarray, "S"],
    *,
    random_areas: Float[np.ndarray, "R"],
    even_area: float,
) -> Deletion:
    """A curve beside what chance gives.

    Source of the p-value: B. Phipson and G. K. Smyth (2010), Permutation p-values should never be zero.
    """
    area = area_under(probability, shares)
    as_small = int((random_areas <= area + 1e-12).sum())
    p_value = (as_small + 1) / (len(random_areas) + 1)
    verdict = MORE if p_value <= 0.05 and area < even_area else NOT_MORE
    if probability[-1] >= probability[0]:
        verdict = CANNOT
    curve, areas = probability.tolist(), np.sort(random_areas).tolist()
    return Deletion(shares.tolist(), curve, area, areas, float(even_area), p_value, verdict)


@dataclass(frozen=True)
class DeletionGap:
    """Over a sample of images: how much smaller the areas of their maps are than those of other maps.

    Attributes:
        gap: mean of the others' area minus the maps' own, 0-1; above 0 the maps say something.
        p_value: two-sided, by flipping signs of images or groups.
        verdict: in words.
    """

    gap: Measure
    p_value: float
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def deletion_gap(
    own: Float[np.ndarray, "N"],
    others: Float[np.ndarray, "N"],
    *,
    name: str,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> DeletionGap:
    """Whether maps of a sample say more than other maps do, by the areas under their deletion curves.

    Args:
        own: area of each image's own map.
        others: mean area, on the same image, of maps that know nothing of it.
        groups: the patient (or whatever images share) of each image, numbered from 0.
        seed: of the test.
    """
    difference = others - own
    sums = difference if groups is None else np.bincount(groups, weights=difference)
    p_value = sign_flip_p_value(sums.astype(np.float64), seed=seed)
    measure = mean(difference, name=name, groups=groups)
    verdict = MORE if p_value <= 0.05 and difference.mean() > 0 else NOT_MORE
    return DeletionGap(measure, p_value, verdict)
