import numpy as np
import pytest
from scipy.stats import binomtest

from vitrail.measures.changed_answers import accuracy_change, changed_answers, mcnemar_p_value


def answers(mended, broken, both=20, neither=5):
    before = np.repeat([False, True, True, False], [mended, broken, both, neither])
    return before, np.repeat([True, False, True, False], [mended, broken, both, neither])


def test_answers_mended_and_broken_are_counted_and_tested_exactly():
    found = changed_answers(*answers(25, 12))
    assert (found.mended, found.broken, found.n, found.decision) == (25, 12, 62, "better")
    assert found.p_value == pytest.approx(binomtest(12, 37).pvalue, abs=1e-12)
    # McNemar's statistic with continuity correction, (|25 - 12| - 1)² / 37 = 3.8919, has p = 0.0485.
    assert found.p_value == pytest.approx(0.0485, abs=0.002)
    assert found.difference.value == pytest.approx(13 / 62)
    assert found.difference.low < 13 / 62 < found.difference.high


@pytest.mark.parametrize(("mended", "broken"), [(0, 0), (1, 0), (5, 1), (0, 9), (300, 260)])
def test_the_test_is_the_binomial_one_of_scipy(mended, broken):
    expected = binomtest(mended, mended + broken).pvalue if mended + broken else 1.0
    assert mcnemar_p_value(mended, broken) == pytest.approx(expected, abs=1e-10)


def test_fewer_right_answers_are_worse_and_few_changes_are_no_evidence():
    assert changed_answers(*answers(2, 20)).decision == "worse"
    assert changed_answers(*answers(3, 1)).decision == "not enough evidence"


def test_whole_groups_are_flipped_where_images_share_them():
    before, after = answers(30, 10, both=0, neither=0)
    alone = changed_answers(before, after)
    grouped = changed_answers(before, after, groups=np.repeat([0, 1, 2, 3], 10))
    assert alone.decision == "better" and grouped.decision == "not enough evidence"
    assert grouped.p_value == 0.625 and grouped.method == "sign-flip test over groups"  # 10 of 16 patterns


def test_an_interval_without_spread_claims_no_certainty():
    same = accuracy_change(np.ones(40, bool), np.ones(40, bool))
    assert (same.value, same.method) == (0, "Tango on 40 images") and same.low < -0.05 and same.high > 0.05
    one = accuracy_change(np.ones(4, bool), np.zeros(4, bool), groups=np.zeros(4, int))
    assert one.value == -1 and one.low is None and one.undefined_because == "all these images belong to one group"
    assert accuracy_change(np.zeros(0, bool), np.zeros(0, bool)).value is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    dice, inside = np.random.default_rng(1), 0
    for _ in range(200):
        before, after = dice.random(120) < 0.8, dice.random(120) < 0.7
        found = accuracy_change(before, after, seed=3)
        inside += found.low <= -0.1 <= found.high
    assert inside >= 184
