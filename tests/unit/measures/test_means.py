import numpy as np
import pytest
from scipy import stats

from vitrail.measures.intervals import wilson
from vitrail.measures.means import difference_of_means, mean, share

ONE = np.random.default_rng(0).gamma(1.0, size=11)
OTHER = np.random.default_rng(1).gamma(3.0, size=7)


def test_a_mean_has_students_interval() -> None:
    found, expected = mean(ONE, name="loss"), stats.ttest_1samp(ONE, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.value, found.n, found.method) == (pytest.approx(ONE.mean()), 11, "t")


def test_a_difference_of_means_has_welchs_interval() -> None:
    found = difference_of_means(ONE, OTHER, name="gap")
    expected = stats.ttest_ind(ONE, OTHER, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.value, found.n) == (pytest.approx(ONE.mean() - OTHER.mean()), 18)


def test_images_that_are_copies_within_groups_count_once() -> None:
    """Every image three times in a group of its own says what the images say once."""
    groups, other_groups = np.repeat(np.arange(11), 3), np.repeat(np.arange(7), 3)
    found, expected = mean(np.repeat(ONE, 3), name="x", groups=groups), mean(ONE, name="x")
    assert (found.low, found.high, found.n) == (pytest.approx(expected.low), pytest.approx(expected.high), 33)
    found = difference_of_means(
        np.repeat(ONE, 3), np.repeat(OTHER, 3), name="x", groups=groups, other_groups=other_groups
    )
    expected = difference_of_means(ONE, OTHER, name="x")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.method == "Welch's t, by groups"


def test_the_intervals_hold_what_they_promise() -> None:
    random, held = np.random.default_rng(5), 0
    for _ in range(400):
        of_group = random.normal(size=(30, 1))
        values = (of_group + random.normal(size=(30, 4))).ravel()
        found = mean(values, name="x", groups=np.repeat(np.arange(30), 4))
        held += found.low <= 0 <= found.high
    assert 0.92 < held / 400 < 0.98


def test_a_share_is_wilsons_and_with_groups_stays_between_0_and_1() -> None:
    right = np.array([True] * 7 + [False] * 3)
    assert share(right, name="accuracy") == wilson(7, 10, name="accuracy")
    groups = np.repeat(np.arange(5), 2)
    found = share(right, name="accuracy", groups=groups)
    assert 0 <= found.low < 0.7 < found.high <= 1 and found.n == 10
    perfect = share(np.ones(10, dtype=bool), name="accuracy", groups=groups)
    assert (perfect.low, perfect.high) == (wilson(5, 5, name="x").low, 1.0)
    assert perfect.method == "Wilson on 5 groups"


def test_what_cannot_have_an_interval_says_why() -> None:
    assert mean(np.array([2.0]), name="x").undefined_because == "a single image says nothing about how images differ"
    alone = difference_of_means(ONE, np.array([1.0]), name="x")
    assert (alone.low, alone.undefined_because) == (None, "a single image says nothing about how images differ")
    grouped = mean(ONE, name="x", groups=np.zeros(11, dtype=int))
    assert (grouped.low, grouped.undefined_because) == (None, "all these images belong to one group")
    assert share(ONE > 1, name="x", groups=np.zeros(11, dtype=int)).low is None
    same = difference_of_means(np.ones(3), np.ones(4), name="x")
    assert (same.value, same.low, same.high) == (0, 0, 0)
