"""Means by stratum: plain tests where there is one stratum, no alarm at another mix, honest size with groups, power."""

import numpy as np
import pytest
from scipy import stats

from vitrail.measures.covariance import Moments
from vitrail.measures.stratified_means import StratumMeans, stratified_mean_test, units_and_freedom
from vitrail.measures.two_samples import MeanAndSpread, mean_test

OFFSETS = 3 * np.random.default_rng(0).standard_normal((3, 6))


def drawn(random: np.random.Generator, count: int, mix: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three strata, whose means are far apart."""
    strata = random.choice(3, count, p=mix)
    return random.standard_normal((count, 6)) + OFFSETS[strata], strata


def means_of(rows: np.ndarray, strata: np.ndarray, groups: np.ndarray | None = None) -> StratumMeans:
    return StratumMeans.of(rows, strata, groups, number=3)


@pytest.mark.parametrize("seed", range(3))
def test_with_one_stratum_and_one_dimension_it_is_welchs_test(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.standard_normal((25, 1)), 2 * random.standard_normal((60, 1)) + seed / 4
    found = stratified_mean_test(*(means_of(each, np.zeros(len(each), int)) for each in (first, second)))
    expected = stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False).pvalue
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_rows_with_groups_in_one_stratum_are_tested_as_without_strata() -> None:
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), 4)
    rows = [random.standard_normal((30, 6))[groups] + random.standard_normal((120, 6)) for _ in range(2)]
    found = stratified_mean_test(*(means_of(each, np.zeros(120, int), groups) for each in rows))
    plain = mean_test(*(MeanAndSpread.of_groups(each, groups) for each in rows))
    assert (found.p_value, found.effect) == (pytest.approx(plain.p_value), pytest.approx(plain.effect))


def test_gathered_moments_say_the_same_as_all_rows_at_once() -> None:
    random = np.random.default_rng(2)
    rows, strata = drawn(random, 90, (0.5, 0.5, 0.0))
    strata[:4] = -1  # of no stratum: left out
    moments = {stratum: Moments.of(rows[strata == stratum]) for stratum in (-1, 0, 1)}
    one, other = means_of(rows, strata), StratumMeans.of_moments(moments, number=3)
    np.testing.assert_allclose(one.means[:2], other.means[:2])
    np.testing.assert_allclose(one.covariance, other.covariance)
    assert one.counts.tolist() == other.counts.tolist() and one.counts[2] == 0
    assert (one.units, one.freedom) == (other.units, other.freedom) == (86, 84)


@pytest.mark.parametrize("kind", ["rows", "groups in a stratum", "groups over strata"])
def test_another_mix_is_no_difference_and_false_alarms_are_as_rare_as_promised(kind: str) -> None:
    random, found, plain = np.random.default_rng(3), [], []
    for _ in range(250):
        samples = []
        for count, mix in ((150, (0.4, 0.3, 0.3)), (90, (0.1, 0.1, 0.8))):
            rows, strata = drawn(random, count, mix)
            groups = None
            if kind != "rows":
                groups = np.arange(count) // 3
                if kind == "groups in a stratum":
                    rows += OFFSETS[strata[groups * 3]] - OFFSETS[strata]
                    strata = strata[groups * 3]
                rows += random.standard_normal((count // 3, 6))[groups]
            samples.append((rows, strata, groups))
        found.append(stratified_mean_test(*(means_of(*each) for each in samples)).p_value < 0.05)
        plain.append(mean_test(*(MeanAndSpread.of_groups(rows, g) for rows, _, g in samples)).p_value < 0.05)
    assert 0.01 < np.mean(found) < 0.09 and np.mean(plain) > 0.9


def test_a_change_within_strata_is_found_with_its_size_whatever_the_mix() -> None:
    random = np.random.default_rng(4)
    first, strata = drawn(random, 3000, (0.4, 0.3, 0.3))
    second, others = drawn(random, 3000, (0.1, 0.1, 0.8))
    second[:, 0] += 2
    found = stratified_mean_test(means_of(first, strata), means_of(second, others))
    assert found.p_value < 1e-6 and found.effect == pytest.approx(2, abs=0.1)


def test_strata_that_only_one_sample_has_say_nothing() -> None:
    rows = np.random.default_rng(5).standard_normal((40, 6))
    zeros, ones = np.zeros(40, int), np.ones(40, int)
    apart = stratified_mean_test(means_of(rows, zeros), means_of(rows, ones))
    assert apart.p_value is None and apart.why_none == "no stratum has rows of both samples"
    nothing = stratified_mean_test(means_of(rows, zeros), means_of(rows, zeros - 1))
    assert nothing.p_value is None
    more = means_of(np.concatenate([rows, rows + 50]), np.concatenate([zeros, ones]))
    assert stratified_mean_test(means_of(rows, zeros), more).effect == 0
    assert units_and_freedom(zeros[:0], zeros[:0]) == (0, 0)
