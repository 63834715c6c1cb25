"""How far apart groups would lie by chance alone: attributes dealt out again to the same images or patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

FEWEST, MOST = 999, 9999
"""Draws of a test; between them as many as take seconds."""

_WORK = 30_000_000
_AT_ONCE = 2_000_000
_SLACK = 1e-12  # differences of the same counts in another order must count as equal


@dataclass(frozen=True)
class Chance:
    """What the difference would be by chance alone.

    Attributes:
        p_value: how often it would be at least as large, (b + 1) / (m + 1).
        expected: its mean.
        usual_limit: 95 of 100 differences are below.
        draws: m.
    """

    p_value: float
    expected: float
    usual_limit: float
    draws: int

    @classmethod
    def of(cls, observed: float, drawn: Float[np.ndarray, "R"]) -> "Chance":
        """From the differences of all draws.

        Source: B. Phipson and G. K. Smyth (2010), Permutation p-values should never be zero, SAGMB 9, article 39.
        """
        as_large = int((drawn >= observed - _SLACK).sum())
        return cls((as_large + 1) / (len(drawn) + 1), float(drawn.mean()), float(np.quantile(drawn, 0.95)), len(drawn))


def affordable_draws(work: int, *, most: int = MOST) -> int:
    """How many draws are made, at most so many, where one of them costs `work` numbers.

    >>> affordable_draws(10), affordable_draws(10_000_000)
    (9999, 999)
    """
    return min(most, int(np.clip(_WORK // max(work, 1), FEWEST, MOST)))


def dealt_spreads(
    strata: Sequence[tuple[Int[np.ndarray, "G"], int]], trials: Int[np.ndarray, "G"], *, draws: int, seed: int
) -> Float[np.ndarray, "R"]:
    """Differences between the highest and the lowest rate, had each stratum's hits been dealt out to groups blindly.

    It is the permutation of the attribute among the images of a stratum, drawn from its counts: what a group gets of a
    stratum's hits is multivariate hypergeometric, so the cost does not depend on the number of images.

    Args:
        strata: for each, how many images every group has in it, and how many hits there are in all.
        trials: of each group, at least 1.
        draws: how often (R).
        seed: the same seed gives the same numbers.
    """
    random = np.random.default_rng(seed)
    hits = np.zeros((draws, len(trials)), dtype=np.int64)
    for sizes, total in strata:
        # Fewer are dealt where most are hits: the others are then the misses.
        if 0 < total < sizes.sum():
            hits += random.multivariate_hypergeometric(sizes, total, size=draws, method="marginals")
        elif total:
            hits += sizes
    rates = hits / trials
    return rates.max(1) - rates.min(1)


def dealt_groups(
    group: Int[np.ndarray, "M"], stratum: Int[np.ndarray, "M"] | None, *, draws: int, seed: int
) -> Int[np.ndarray, "R M"]:
    """Groups of patients, dealt out anew among those of a stratum: every draw has each group as often as before."""
    random = np.random.default_rng(seed)
    strata = np.zeros(len(group)) if stratum is None else stratum.astype(np.float64)
    places = np.argsort(strata, kind="stable")
    dealt = np.empty((draws, len(group)), dtype=np.int16)
    rows = max(1, _AT_ONCE // len(group))
    for start in range(0, draws, rows):
        part = dealt[start : start + rows]
        # Sorting by stratum and then by lot keeps every stratum where it is.
        order = np.argsort(strata + random.random(part.shape), axis=1)
        part[:, places] = group.astype(np.int16)[order]
    return dealt


def spreads_of_patients(
    dealt: Int[np.ndarray, "R M"],
    hits: Float[np.ndarray, "M"],
    trials: Float[np.ndarray, "M"],
    judged: Bool[np.ndarray, "G"],
) -> Float[np.ndarray, "R"]:
    """Differences between the highest and the lowest rate of the judged groups, for every dealing of `dealt_groups`."""
    rates = []
    for g in np.flatnonzero(judged):
        own = (dealt == g).astype(np.float32)
        both = own @ np.stack([hits, trials], axis=1).astype(np.float32)
        among = both[:, 1].astype(np.float64)
        rates.append(np.divide(both[:, 0], among, out=np.full(len(dealt), np.nan), where=among > 0))
    found = np.stack(rates)
    return np.fmax.reduce(found) - np.fmin.reduce(found)
