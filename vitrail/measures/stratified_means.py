"""Means by stratum: what tells rows that have changed from kinds of rows that have become more or less frequent."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vitrail.measures.covariance import Moments
from vitrail.measures.two_samples import MeanAndSpread, TwoSampleTest, mean_test


@dataclass(frozen=True, eq=False)
class StratumMeans:
    """The mean of every stratum of a sample, and how far that of another such sample may lie from it.

    Attributes:
        counts: (S,), rows.
        means: (S, k); whatever it is where there are no rows.
        covariance: (k, k), of one unit's share in the mean of all rows, rows being about the mean of their stratum.
        units: independent pieces of evidence: rows, or groups of them.
        freedom: degrees of freedom of the covariance.
    """

    counts: Int[np.ndarray, " S"]
    means: Float[np.ndarray, "S k"]
    covariance: Float[np.ndarray, "k k"]
    units: int
    freedom: int

    @classmethod
    def of(
        cls, rows: Float[np.ndarray, "N k"], strata: Int[np.ndarray, "N"], groups: Int[np.ndarray, "N"] | None,
        *, number: int,
    ) -> "StratumMeans":  # fmt: skip
        """Of rows, some of which may belong together; those of stratum −1 are left out.

        Args:
            rows: (N, k).
            strata: numbers below `number`.
            groups: numbers; None: every row is for itself.
            number: of strata (S).
        """
        there = strata >= 0
        rows, strata = rows[there].astype(np.float64), strata[there]
        groups = np.arange(len(rows)) if groups is None else np.unique(groups[there], return_inverse=True)[1]
        units, freedom = units_and_freedom(strata, groups)
        counts = np.bincount(strata, minlength=number)
        means = np.zeros((number, rows.shape[1]))
        np.add.at(means, strata, rows)
        means /= np.maximum(counts, 1)[:, None]
        shares = np.zeros((units, rows.shape[1]))
        np.add.at(shares, groups, (rows - means[strata]) * (units / max(len(rows), 1)))
        return cls(counts, means, shares.T @ shares / max(freedom, 1), units, freedom)

    @classmethod
    def of_moments(cls, by_stratum: Mapping[int, Moments], *, number: int) -> "StratumMeans":
        """Of independent rows whose moments were gathered for each stratum; there is one at least."""
        found = {stratum: each for stratum, each in by_stratum.items() if stratum >= 0}
        width = len(next(iter(by_stratum.values())).mean)
        counts, means, scatter = np.zeros(number, np.int64), np.zeros((number, width)), np.zeros((width, width))
        for stratum, each in found.items():
            counts[stratum], means[stratum] = each.count, each.mean
            scatter += each.scatter
        units = int(counts.sum())
        return cls(counts, means, scatter / max(units - len(found), 1), units, units - len(found))

    def weighted(self, weights: Float[np.ndarray, " S"]) -> MeanAndSpread:
        """The mean over strata with these weights, which sum to 1; what has a weight has rows.

        Strata are taken to vary alike, so that the covariance of the mean follows from how many rows a weight rests on.
        """
        used = weights > 0
        rests_on = 1 / float((weights[used] ** 2 / self.counts[used]).sum())
        of_mean = self.covariance / self.units * (self.counts.sum() / rests_on)
        return MeanAndSpread(self.freedom + 1, weights[used] @ self.means[used], of_mean * (self.freedom + 1))


def units_and_freedom(strata: Int[np.ndarray, "N"], groups: Int[np.ndarray, "N"]) -> tuple[int, int]:
    """How many groups there are, and the degrees of freedom that means of strata leave them.

    Groups that lie in one stratum lose one for every stratum; groups that are spread over all of them lose one in all.

    >>> units_and_freedom(np.array([0, 0, 1, 1, 1]), np.arange(5))
    (5, 3)
    >>> units_and_freedom(np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 2]))
    (3, 2)
    """
    if not len(strata):
        return 0, 0
    units = len(np.unique(groups))
    (stratum, _), together = np.unique(np.stack([strata, groups]), axis=1, return_counts=True)
    lost = units * float((together**2 / np.bincount(strata)[stratum]).sum()) / len(strata)
    return units, max(int(units - lost + 1e-9), 0)


def stratified_mean_test(first: StratumMeans, second: StratumMeans) -> TwoSampleTest:
    """Whether the means of two samples differ within strata: `mean_test` of what they have in common.

    Each stratum that both have counts with n · m / (n + m) of its n and m rows, which is best where strata vary alike;
    how many rows of it either sample has says nothing. With one stratum it is `mean_test` of all rows.
    """
    both = (first.counts > 0) & (second.counts > 0)
    if not both.any():
        return TwoSampleTest(None, None, "test of mean features", "no stratum has rows of both samples")
    weights = np.where(both, first.counts * second.counts / np.maximum(first.counts + second.counts, 1), 0.0)
    weights = weights / weights.sum()
    return mean_test(first.weighted(weights), second.weighted(weights))
