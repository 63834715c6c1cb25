"""How far groups lie apart in a rate, how sure that is, and whether it is more than what is called fair."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr

from vitrail.measures.intervals import Measure, normal_quantile

LEVEL = 0.95
_STEPS = 45  # halvings, until nothing moves any more
_FARTHEST = 38.0  # standard errors: beyond, p-values are 0 in float64


@dataclass(frozen=True)
class Spread:
    """The difference between the group with the highest and the one with the lowest rate, and their ratio.

    Attributes:
        difference: greatest minus least, in [0, 1]. Its upper limit is valid without regard to the number of groups,
            its lower one accounts for all pairs of them.
        ratio: least divided by greatest, in [0, 1].
        lowest: place of the group among those given; None where there are not two.
        highest: likewise.
        p_value: of the hypothesis that no two groups truly lie as far apart as the margin, two-sided, for all pairs.
    """

    difference: Measure
    ratio: Measure
    lowest: int | None
    highest: int | None
    p_value: float


def spread_of(
    hits: Int[np.ndarray, "G"], trials: Int[np.ndarray, "G"], worth: Float[np.ndarray, "G"], *, name: str, margin: float
) -> Spread:
    """How far apart the rates of groups lie.

    Args:
        hits: by group.
        trials: by group, at least 1.
        worth: as how many independent trials each group's count; `trials` where they are independent.
        name: of the rate.
        margin: differences from here on are not fair.

    Source: R. G. Newcombe (1998), Interval estimation for the difference between independent proportions, Statistics
    in Medicine 17, p. 873, method 10, for each pair, with Bonferroni over pairs for the lower limit; for the ratio
    A. Donner and G. Y. Zou (2012), Closed-form confidence intervals for functions of the normal mean and standard
    deviation (MOVER-R), Statistical Methods in Medical Research 21, p. 347.

    >>> spread_of(np.array([56, 48]), np.array([70, 80]), np.array([70., 80.]), name="x", margin=0.1).difference.text()
    '20.0 % (5.2–33.4, n = 150)'
    """
    n, groups = int(trials.sum()), len(trials)
    difference = Measure(f"{name} difference", None, n)
    ratio = Measure(f"{name} ratio", None, n, scale="number")
    if groups < 2:
        why = f"{'no group is' if not groups else 'only one group is'} large enough, and a difference needs two"
        return Spread(_undefined(difference, why), _undefined(ratio, why), None, None, 1.0)
    share, pairs = hits / trials, groups * (groups - 1) // 2
    high, low = int(share.argmax()), int(share.argmin())
    high = high if high != low else (low + 1) % groups
    exact, careful = normal_quantile(LEVEL), normal_quantile(1 - (1 - LEVEL) / pairs)
    method = "Newcombe" if groups == 2 else f"Newcombe, over {pairs} pairs of groups"
    value = float(share[high] - share[low])
    limits = max(0.0, float(_lower(share, worth, careful).max())), min(1.0, float(_upper(share, worth, exact).max()))
    difference = Measure(difference.name, value, n, *limits, LEVEL, method)
    if share[high] == 0:
        ratio = _undefined(ratio, "the rate is 0 in every group")
    else:
        span = _ratio_limits(share, worth, exact, careful)
        ratio = Measure(ratio.name, float(share[low] / share[high]), n, *span, LEVEL, "MOVER-R", scale="number")
    return Spread(difference, ratio, low, high, min(1.0, 2 * pairs * _one_sided(share, worth, margin)))


def _undefined(measure: Measure, why: str) -> Measure:
    return Measure(measure.name, None, measure.n, undefined_because=why, scale=measure.scale)


def _wilson(
    share: Float[np.ndarray, "*S"], worth: Float[np.ndarray, "*S"], z: Float[np.ndarray, "*S"] | float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits, as `intervals.wilson_limits` has them for one share."""
    middle = (share + z * z / (2 * worth)) / (1 + z * z / worth)
    half = z / (1 + z * z / worth) * np.sqrt(share * (1 - share) / worth + z * z / (4 * worth * worth))
    return np.where(share == 0, 0.0, middle - half), np.where(share == 1, 1.0, middle + half)


def _pair_lower(
    one: np.ndarray, one_worth: np.ndarray, other: np.ndarray, other_worth: np.ndarray, z: np.ndarray | float
) -> np.ndarray:
    """Lower limits of `one - other`, pair by pair."""
    return one - other - np.hypot(one - _wilson(one, one_worth, z)[0], _wilson(other, other_worth, z)[1] - other)


def _lower(share: np.ndarray, worth: np.ndarray, z: float) -> np.ndarray:
    """Lower limits of the row group's share minus the column group's, [G, G]; minus infinity for a group and itself."""
    limits = _pair_lower(share[:, None], worth[:, None], share[None], worth[None], z)
    np.fill_diagonal(limits, -np.inf)
    return limits


def _upper(share: np.ndarray, worth: np.ndarray, z: float) -> np.ndarray:
    limits = -_lower(share, worth, z).T
    np.fill_diagonal(limits, -np.inf)
    return limits


def _one_sided(share: np.ndarray, worth: np.ndarray, margin: float) -> float:
    """The least p-value of a pair: where its lower limit would just be the margin."""
    high, low = np.nonzero(share[:, None] - share[None] > margin)
    if not len(high):
        return 1.0
    pairs = share[high], worth[high], share[low], worth[low]
    near, far = np.zeros(len(high)), np.full(len(high), _FARTHEST)
    for _ in range(_STEPS):
        middle = (near + far) / 2
        above = _pair_lower(*pairs, middle) >= margin
        near, far = np.where(above, middle, near), np.where(above, far, middle)
    return float(ndtr(-near).min())


def _ratio_limits(share: np.ndarray, worth: np.ndarray, exact: float, careful: float) -> tuple[float, float]:
    """Of the least of all ratios of two groups: its lower limit is valid as it is, its upper one for all pairs."""
    below, _ = _ratio_ends(share, worth, exact)
    _, above = _ratio_ends(share, worth, careful)
    return max(0.0, float(below.min())), min(1.0, float(above.min()))


def _ratio_ends(share: np.ndarray, worth: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    one, other, one_worth, other_worth = share[:, None], share[None], worth[:, None], worth[None]
    (low, high), (other_low, other_high) = _wilson(one, one_worth, z), _wilson(other, other_worth, z)
    product = one * other
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.sqrt(np.maximum(product**2 - low * other_high * (2 * one - low) * (2 * other - other_high), 0))
        up = np.sqrt(np.maximum(product**2 - high * other_low * (2 * one - high) * (2 * other - other_low), 0))
        below = (product - down) / (other_high * (2 * other - other_high))
        above = (product + up) / (other_low * (2 * other - other_low))
    off = ~np.eye(len(share), dtype=bool)
    # Where the divisor may be 0, no ratio is too large; where it is beyond both limits, none is too small.
    return np.where(off & np.isfinite(below) & (below > 0), below, np.where(off, 0.0, 1.0)), np.where(
        off & np.isfinite(above) & (above > 0), above, 1.0
    )
