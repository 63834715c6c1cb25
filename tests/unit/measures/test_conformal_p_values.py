"""Conformal p-values and thresholds: known answers, exact coverage, and why a threshold from the test batch is none."""

import numpy as np
import pytest
from scipy import stats

from vitrail.basics.errors import InputError
from vitrail.measures.conformal_p_values import conformal_p_values, conformal_threshold, least_held_out


def test_p_values_are_never_zero_and_never_above_one() -> None:
    held_out = np.arange(99.0)
    assert conformal_p_values(held_out, np.array([1e9, 98.0, 50.0, -5.0])).tolist() == [0.01, 0.02, 0.5, 1.0]
    assert conformal_p_values(np.arange(100.0), np.array([-1.0])).tolist() == [1.0]  # alibi-detect says 1.01
    assert conformal_p_values(np.zeros(9), np.array([0.0])).tolist() == [1.0]


@pytest.mark.parametrize("n", [10, 19, 20, 59, 99, 137])
def test_above_the_threshold_and_unlike_at_the_level_are_the_same_images(n: int) -> None:
    random = np.random.default_rng(n)
    held_out, new = np.sort(random.random(n)), random.random(500)
    threshold = conformal_threshold(held_out)
    assert ((new > threshold) == (conformal_p_values(held_out, new) <= 0.05 + 1e-12)).all()
    assert np.isinf(threshold) == (n < least_held_out(0.05))


def test_the_threshold_is_the_score_of_that_rank() -> None:
    for n, alpha, rank in ((19, 0.1, 18), (50, 0.1, 46), (100, 0.1, 91), (19, 0.05, 19), (99, 0.05, 95)):
        assert conformal_threshold(np.arange(1.0, n + 1), alpha=alpha) == rank
    assert conformal_threshold(np.arange(18.0)) == np.inf


def test_p_values_have_the_size_that_they_say() -> None:
    held_out = np.arange(100.0)  # a new score has each of 101 ranks as likely
    p_values = conformal_p_values(held_out, np.arange(101.0) - 0.5)
    assert p_values.min() == pytest.approx(1 / 101) and np.mean(p_values <= 0.05) == 5 / 101
    naive = (held_out >= np.arange(101.0)[:, None] - 0.5).mean(axis=1)
    assert np.mean(naive <= 0.05) == 6 / 101 and naive.min() == 0  # what other libraries say


def test_coverage_is_what_the_rank_promises_when_held_out_scores_are_drawn_anew() -> None:
    random = np.random.default_rng(0)
    for n, promised in ((19, 0.9), (50, 46 / 51), (100, 91 / 101)):
        covered = [random.random() <= conformal_threshold(np.sort(random.random(n)), alpha=0.1) for _ in range(4000)]
        assert np.mean(covered) == pytest.approx(promised, abs=0.017)


@pytest.mark.parametrize(("shift", "flagged"), [(0.0, 0.045), (2.0, 0.118), (4.0, 0.546), (6.0, 0.946)])
def test_a_threshold_of_held_out_scores_sees_a_shift_and_one_of_the_batch_itself_never_does(
    shift: float, flagged: float
) -> None:
    random, width = np.random.default_rng(1), 32
    held_out = np.sort(np.square(random.standard_normal((5000, width))).sum(axis=1))
    moved = random.standard_normal((5000, width))
    moved[:, 0] += shift
    scores = np.square(moved).sum(axis=1)
    found = (scores > conformal_threshold(held_out)).mean()
    assert (scores > np.quantile(scores, 0.95)).mean() == pytest.approx(0.05, abs=0.001)
    exact = stats.ncx2.sf(stats.chi2.ppf(0.95, width), width, shift**2)
    assert found == pytest.approx(exact, abs=0.02) and found == pytest.approx(flagged, abs=0.02)


def test_disorder_and_what_is_no_number_are_refused() -> None:
    with pytest.raises(InputError, match=r"not in ascending order\nhint: sort them"):
        conformal_p_values(np.array([2.0, 1.0]), np.array([1.0]))
    with pytest.raises(InputError, match="1 of 1 scores are NaN or infinite"):
        conformal_p_values(np.array([1.0, 2.0]), np.array([np.nan]))
