"""Do two samples come from one source? Tests of scores, of means, of class counts that need no row of the first.

All of them know that the first sample (held-out images, say) is a sample, too, and not the truth. The maximum mean
discrepancy, the energy distance and Kolmogorov and Smirnov's test for each feature are not among them: the first two
need rows of the first sample, which a package must not hold, and the third so many tests that none can be sure.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.special import fdtrc, ndtr

from vitrail.basics.errors import InputError
from vitrail.measures.covariance import Moments

RESHUFFLES = 9999
"""Random divisions of the class counts."""


@dataclass(frozen=True)
class TwoSampleTest:
    """What one test says.

    Attributes:
        p_value: two-sided; None where the samples do not allow the test.
        effect: how large the difference is, whatever the p-value; None likewise. See the test for its unit.
        method: its name.
        why_none: why there is no p-value.
    """

    p_value: float | None
    effect: float | None
    method: str
    why_none: str | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of a sample, their strata and groups.

    Attributes:
        scores: (N,).
        strata: (N,), numbers; scores are compared within a stratum only. For images: the predicted class, so that
            another mix of classes is no difference.
        groups: (N,), numbers; rows of one group count as one piece of evidence. None: every row for itself.
    """

    scores: Float[np.ndarray, "N"]
    strata: Int[np.ndarray, "N"]
    groups: Int[np.ndarray, "N"] | None = None


def score_test(first: Scored, second: Scored) -> TwoSampleTest:
    """Whether scores of the second sample are larger, or smaller, than those of the first: a rank test in strata.

    The effect is the probability that a row of the second has the larger score than one of the first, ties half, in
    the mean over strata: 0.5 where nothing differs. Without groups and with one stratum it is Mann and Whitney's test.
    With groups, the variance is the larger of that test's and of one that adds up whole groups.

    Source: P. van Elteren (1960), On the combination of independent two-sample tests of Wilcoxon, with weights
    1/(n + m + 1) and variances corrected for ties (E. L. Lehmann, 1975, Nonparametrics, appendix 4); for groups
    N. A. Obuchowski (1997), Biometrics 53, p. 567.
    """
    method = "rank test of scores"
    shared = [each for each in np.unique(second.strata) if (first.strata == each).any()]
    if not shared:
        return TwoSampleTest(None, None, method, "no stratum has rows of both samples")
    found: list[tuple[float, float, float]] = []
    influence = np.zeros(len(first.scores)), np.zeros(len(second.scores))
    for stratum in shared:
        own, other = first.strata == stratum, second.strata == stratum
        n, m = int(own.sum()), int(other.sum())
        placed, auc, variance = _placements(first.scores[own], second.scores[other])
        weight = n * m / (n + m + 1)
        influence[0][own] = weight * (placed[:n] - auc) / n
        influence[1][other] = weight * (placed[n:] - auc) / m
        found.append((weight, auc, variance))
    weights, wins, variances = map(np.array, zip(*found, strict=True))
    share = weights / weights.sum()
    effect = float(share @ wins)
    variance = float(share**2 @ variances)
    if first.groups is not None or second.groups is not None:
        pairs = ((influence[0], first.groups), (influence[1], second.groups))
        variance = max(variance, sum(_group_variance(each / weights.sum(), groups) for each, groups in pairs))
    if variance <= 0:
        return TwoSampleTest(1.0, effect, method)  # all scores are equal
    return TwoSampleTest(float(2 * ndtr(-abs(effect - 0.5) / variance**0.5)), effect, method)


def _placements(
    first: Float[np.ndarray, "N"], second: Float[np.ndarray, "M"]
) -> tuple[Float[np.ndarray, "_"], float, float]:
    """The share of the other sample that each row speaks against, in the direction of the second being larger; the
    share of pairs in which it is; and the variance of that share if both were one sample."""
    n, m = len(first), len(second)
    ordered = np.sort(first), np.sort(second)
    below = (np.searchsorted(ordered[0], second, "left") + np.searchsorted(ordered[0], second, "right")) / (2 * n)
    above = 1 - (np.searchsorted(ordered[1], first, "left") + np.searchsorted(ordered[1], first, "right")) / (2 * m)
    _, ties = np.unique(np.concatenate([first, second]), return_counts=True)
    ties = ties.astype(np.float64)
    total = n + m
    variance = (total + 1 - (ties**3 - ties).sum() / (total * (total - 1))) / (12 * n * m)
    return np.concatenate([above, below]), float(below.mean()), float(variance)


def _group_variance(influence: Float[np.ndarray, "N"], groups: Int[np.ndarray, "N"] | None) -> float:
    sums = influence if groups is None else np.bincount(groups, weights=influence)
    count = len(sums)
    return float(sums @ sums) * count / max(count - 1, 1)


@dataclass(frozen=True, eq=False)
class MeanAndSpread:
    """The mean of a sample, and how far that of another such sample may lie from it.

    Attributes:
        units: independent pieces of evidence: rows, or groups of them.
        mean: (k,), over rows.
        covariance: (k, k), of one unit's share in the mean: divided by `units`, it is the covariance of the mean.
    """

    units: int
    mean: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]

    @classmethod
    def of(cls, moments: Moments) -> "MeanAndSpread":
        """Of independent rows; at least two."""
        return cls(moments.count, moments.mean, moments.covariance())

    @classmethod
    def of_groups(cls, rows: Float[np.ndarray, "N k"], groups: Int[np.ndarray, "N"] | None) -> "MeanAndSpread":
        """Of rows some of which belong together, numbered from 0 without gaps; at least two groups."""
        if groups is None:
            return cls.of(Moments.of(rows))
        mean, units = rows.mean(axis=0), int(groups.max()) + 1
        sums = np.zeros((units, rows.shape[1]))
        np.add.at(sums, groups, rows - mean)
        shares = sums * (units / len(rows))
        return cls(units, mean, shares.T @ shares / max(units - 1, 1))


def mean_test(first: MeanAndSpread, second: MeanAndSpread) -> TwoSampleTest:
    """Whether the means of two samples differ, in however many dimensions, also more than there are rows.

    The squared length of the difference, divided by what chance alone gives it in the mean, against F: in one
    dimension it is Welch's test. The error of both means is in it; variances may differ. The effect is the length of
    the difference less what chance gives it (at least 0), in the unit of the rows: standard deviations, where each
    direction was divided by its own.

    Source: J.-T. Zhang, B. Zhou, J. Guo (2022), Linear hypothesis testing in high-dimensional heteroscedastic one-way
    MANOVA: a normal reference L2-norm based test, J. Multivariate Anal. 187, 104816, for two samples, with the F-type
    approximation (Welch and Satterthwaite in both degrees of freedom).
    """
    method = "test of mean features"
    if min(first.units, second.units) < 3:
        return TwoSampleTest(None, None, method, "fewer than three independent images on one side")
    samples = ((first.covariance / first.units, first.units), (second.covariance / second.units, second.units))
    expected = sum(float(np.trace(each)) for each, _ in samples)
    difference = first.mean - second.mean
    length = float(difference @ difference)
    effect = max(length - expected, 0.0) ** 0.5
    if expected <= 0:
        return TwoSampleTest(1.0 if length == 0 else 0.0, length**0.5, method)
    own = [_square_trace(each, units - 1) for each, units in samples]
    both = sum(own) + 2 * float(np.sum(samples[0][0] * samples[1][0]))
    whole = max(expected**2, both)
    above = whole / both
    below = whole / sum(square / (units - 1) for square, (_, units) in zip(own, samples, strict=True))
    return TwoSampleTest(float(fdtrc(above, below, length / expected)), effect, method)


def _square_trace(covariance: Float[np.ndarray, "k k"], freedom: int) -> float:
    """tr(Σ²) without the upward bias of tr(S²), for S with so many degrees of freedom; never negative.

    Source: Z. Bai and H. Saranadasa (1996), Statistica Sinica 6, p. 311, equation 4.2.
    """
    plain, trace = float(np.sum(covariance**2)), float(np.trace(covariance))
    share = freedom**2 / ((freedom + 2) * (freedom - 1)) * (plain - trace**2 / freedom) if freedom > 1 else plain
    return max(share, trace**2 / len(covariance))  # what equal variances in all directions would give is the least


def class_mix_test(
    first: Int[np.ndarray, "K"], second: Int[np.ndarray, "K"], *, seed: int = 0, reshuffles: int = RESHUFFLES
) -> TwoSampleTest:
    """Whether the classes of the second sample are mixed as those of the first are: chi-square, with its distribution
    drawn, so that rare classes are no harm; p = (b + 1) / (m + 1).

    The effect is the share of rows that would have to change their class (total variation distance, 0-1).

    Args:
        first: rows by class.
        second: likewise.
        seed: the same seed gives the same numbers.
        reshuffles: random divisions.

    Raises:
        InputError: one of them is empty.
    """
    if not first.sum() or not second.sum():
        raise InputError("the classes of no rows were to be compared")
    n, m = int(first.sum()), int(second.sum())
    effect = float(np.abs(first / n - second / m).sum() / 2)
    total = first + second
    expected = total * (m / (n + m))
    there = total > 0

    def distance(counts: np.ndarray) -> np.ndarray:
        return ((counts[..., there] - expected[there]) ** 2 / expected[there]).sum(axis=-1)

    drawn = np.random.default_rng(seed).multivariate_hypergeometric(total, m, size=reshuffles)
    as_far = int((distance(drawn) >= distance(second[None]) * (1 - 1e-9)).sum())
    return TwoSampleTest((as_far + 1) / (reshuffles + 1), effect, "test of the mix of classes")


@dataclass(frozen=True)
class SampleVerdict:
    """What two tests say together.

    Attributes:
        decision: `shifted`, `not shifted`, or `not enough images`.
        p_value: twice the smaller of both (Bonferroni), at most 1; None where there is none.
    """

    decision: Literal["shifted", "not shifted", "not enough images"]
    p_value: float | None


def combined_verdict(
    scores: TwoSampleTest, means: TwoSampleTest, *, alpha: float, least_score: float, least_mean: float
) -> SampleVerdict:
    """Shifted where a test is sure at half of `alpha` and its own effect is large enough to matter, too.

    Args:
        scores: of `score_test`.
        means: of `mean_test`.
        alpha: how often an alarm may be false.
        least_score: how far the effect of the first must be from 0.5.
        least_mean: how large the effect of the second must be.
    """
    there = [each.p_value for each in (scores, means) if each.p_value is not None]
    if not there:
        return SampleVerdict("not enough images", None)
    effects = ((scores, abs((scores.effect or 0.5) - 0.5), least_score), (means, means.effect or 0.0, least_mean))
    found = any(
        test.p_value is not None and test.p_value * len(there) < alpha and effect >= least
        for test, effect, least in effects
    )  # fmt: skip
    return SampleVerdict("shifted" if found else "not shifted", min(1.0, len(there) * min(there)))
