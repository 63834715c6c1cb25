"""Tests of two samples: known tests where there are such, honest size when everything is drawn anew, and power."""

import numpy as np
import pytest
from scipy import stats

from vitrail.basics.errors import InputError
from vitrail.measures.covariance import Moments
from vitrail.measures.two_samples import (
    MeanAndSpread,
    Scored,
    TwoSampleTest,
    class_mix_test,
    combined_verdict,
    mean_test,
    score_test,
)


def one_stratum(scores: np.ndarray, groups: np.ndarray | None = None) -> Scored:
    return Scored(scores, np.zeros(len(scores), np.int64), groups)


@pytest.mark.parametrize("ties", [False, True])
def test_with_one_stratum_the_rank_test_is_mann_and_whitneys(ties: bool) -> None:
    random = np.random.default_rng(0)
    first, second = random.standard_normal(60), random.standard_normal(80) + 0.3
    if ties:
        first, second = first.round(), second.round()
    found = score_test(one_stratum(first), one_stratum(second))
    reference = stats.mannwhitneyu(second, first, use_continuity=False, method="asymptotic")
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-9)
    assert found.effect == pytest.approx(reference.statistic / (60 * 80), rel=1e-12)


def test_another_mix_of_strata_is_no_difference_of_scores() -> None:
    random = np.random.default_rng(1)
    false_alarms = []
    for _ in range(300):
        first_class, second_class = random.random(80) < 0.5, random.random(80) < 0.9
        first, second = (random.standard_normal(80) + 3 * each for each in (first_class, second_class))
        found = score_test(Scored(first, first_class.astype(int)), Scored(second, second_class.astype(int)))
        false_alarms.append(found.p_value < 0.05)
    assert np.mean(false_alarms) < 0.09


def test_images_of_one_patient_are_one_piece_of_evidence() -> None:
    random = np.random.default_rng(2)
    groups = np.repeat(np.arange(30), 10)
    alone, together = [], []
    for _ in range(200):
        first, second = (random.standard_normal(30)[groups] + 0.1 * random.standard_normal(300) for _ in range(2))
        alone.append(score_test(one_stratum(first), one_stratum(second)).p_value < 0.05)
        together.append(score_test(one_stratum(first, groups), one_stratum(second, groups)).p_value < 0.05)
    assert np.mean(alone) > 0.3  # what is wrong with counting images
    assert np.mean(together) < 0.1


def test_equal_scores_are_no_difference_and_strata_without_a_partner_no_test() -> None:
    assert score_test(one_stratum(np.ones(40)), one_stratum(np.ones(40))).p_value == 1
    apart = score_test(Scored(np.ones(40), np.zeros(40, np.int64)), Scored(np.ones(40), np.ones(40, np.int64)))
    assert apart.p_value is None and apart.why_none == "no stratum has rows of both samples"


@pytest.mark.parametrize("seed", range(4))
def test_in_one_dimension_the_test_of_means_is_welchs(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.standard_normal((20, 1)), 2 * random.standard_normal((50, 1)) + seed / 4
    found = mean_test(*(MeanAndSpread.of(Moments.of(each)) for each in (first, second)))
    reference = stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False).pvalue
    assert found.p_value == pytest.approx(reference, rel=1e-9)


def test_the_effect_of_a_moved_mean_is_its_distance_in_standard_deviations() -> None:
    random = np.random.default_rng(4)
    moved = np.zeros(10)
    moved[:2] = (3, 4)
    first, second = (MeanAndSpread.of(Moments.of(random.standard_normal((4000, 10)) + each)) for each in (0, moved))
    assert mean_test(first, second).effect == pytest.approx(5, abs=0.1)
    assert mean_test(first, first).effect == 0 and mean_test(first, first).p_value == pytest.approx(1)


def test_means_of_groups_know_how_many_groups_there_are() -> None:
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(40), 5)
    rows = random.standard_normal((40, 3))[groups]
    spread = MeanAndSpread.of_groups(rows, groups)
    assert spread.units == 40
    np.testing.assert_allclose(spread.covariance, np.cov(rows[::5].T), rtol=1e-9)
    np.testing.assert_allclose(spread.mean, rows.mean(axis=0))


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
def test_false_alarms_are_as_rare_as_promised_when_both_samples_are_drawn_anew(kind: str) -> None:
    random = np.random.default_rng(6)
    width, mixing = 24, np.random.default_rng(0).standard_normal((24, 24)) * np.exp(-np.arange(24) / 8)

    def drawn(count: int) -> np.ndarray:
        rows = random.standard_normal((count, width))
        if kind == "heavy":
            rows *= np.sqrt(5 / random.chisquare(5, count))[:, None]
        return (np.exp(0.7 * rows) if kind == "skewed" else rows) @ mixing.T

    found = []
    for _ in range(250):
        first, second = drawn(60), drawn(120)
        scores = score_test(*(one_stratum(np.linalg.norm(each, axis=1)) for each in (first, second)))
        means = mean_test(*(MeanAndSpread.of(Moments.of(each)) for each in (first, second)))
        found.append(combined_verdict(scores, means, alpha=0.05, least_score=0.0, least_mean=0.0).decision == "shifted")
    assert 0.015 < np.mean(found) < 0.095  # 1,000 draws of real sizes: benchmarks/judging_parts/shift.py


def test_the_mix_of_classes_is_compared_with_chance_and_rare_classes_are_no_harm() -> None:
    same = class_mix_test(np.array([50, 50, 1]), np.array([100, 102, 0]))
    assert same.p_value > 0.2 and same.effect < 0.02
    other = class_mix_test(np.array([50, 50]), np.array([20, 80]))
    assert other.p_value < 0.001 and other.effect == pytest.approx(0.3)
    exact = stats.fisher_exact([[50, 50], [38, 62]]).pvalue
    assert class_mix_test(np.array([50, 50]), np.array([38, 62])).p_value == pytest.approx(exact, abs=0.03)
    with pytest.raises(InputError, match="classes of no rows"):
        class_mix_test(np.array([0, 0]), np.array([1, 2]))


@pytest.mark.parametrize("seed", range(3))
def test_with_many_rows_the_test_of_the_mix_of_classes_is_scipys_chi_square(seed: int) -> None:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(5, 5.0))
    first, second = random.multinomial(4000, shares), random.multinomial(2000, shares)
    expected = stats.chi2_contingency([first, second], correction=False).pvalue
    assert class_mix_test(first, second, reshuffles=3999).p_value == pytest.approx(expected, abs=0.03)


def test_the_mix_of_classes_gives_a_false_alarm_in_one_of_twenty_at_most_and_its_p_values_are_uniform() -> None:
    random = np.random.default_rng(7)
    shares = random.dirichlet(np.ones(8))
    found = np.sort(
        [
            class_mix_test(
                *(random.multinomial(count, shares) for count in (150, 90)), seed=seed, reshuffles=199
            ).p_value
            for seed in range(600)
        ]
    )
    farthest = np.abs(found - np.arange(1, 601) / 600).max()  # Kolmogorov-Smirnov: 5 % are above 0.055
    assert farthest < 0.055 and 0.03 < np.mean(found <= 0.05) < 0.07


def test_an_alarm_needs_a_small_p_value_and_a_difference_that_matters() -> None:
    nothing = TwoSampleTest(0.9, 0.5, "")
    large, tiny = TwoSampleTest(0.001, 1.0, ""), TwoSampleTest(0.001, 0.01, "")
    limits = {"alpha": 0.05, "least_score": 0.02, "least_mean": 0.1}
    assert combined_verdict(nothing, large, **limits).decision == "shifted"
    assert combined_verdict(nothing, tiny, **limits).decision == "not shifted"
    assert combined_verdict(nothing, large, **limits).p_value == pytest.approx(0.002)
    assert combined_verdict(nothing, TwoSampleTest(0.03, 1.0, ""), **limits).decision == "not shifted"  # two tests
    none = TwoSampleTest(None, None, "", "too few")
    assert combined_verdict(none, none, **limits).decision == "not enough images"
