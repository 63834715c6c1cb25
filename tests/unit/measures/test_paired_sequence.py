"""A model that may replace another is told from one that may not, however often one looks."""

import numpy as np
import pytest

from vitrail.basics.errors import InputError
from vitrail.measures.paired_sequence import difference_so_far, loss_p_value
from vitrail.measures.replacement import replacement


def test_a_model_that_loses_just_the_margin_is_let_through_in_one_of_forty_streams_at_most() -> None:
    random = np.random.default_rng(0)
    let_through = blamed = 0
    for _ in range(100):
        draws = random.random(3000)
        for n in (200, 400, 800, 1600, 3000):
            broken, fixed = int((draws[:n] < 0.05).sum()), int((draws[:n] > 0.97).sum())
            if replacement(difference_so_far(n, fixed=fixed, broken=broken), margin=0.02) == "may replace":
                let_through += 1
                break
            if loss_p_value(n, fixed=fixed, broken=broken, margin=0.02) < 0.025:
                blamed += 1
                break
    assert let_through <= 6 and blamed <= 6  # 2.5 each expected at most


def test_a_model_that_is_as_good_is_let_through_and_one_that_is_far_worse_is_stopped() -> None:
    assert replacement(difference_so_far(1500, fixed=30, broken=30), margin=0.02) == "may replace"
    assert replacement(difference_so_far(300, fixed=3, broken=30), margin=0.02) == "may not replace"
    assert replacement(difference_so_far(100, fixed=0, broken=0), margin=0.02) == "not enough evidence"
    assert loss_p_value(60, fixed=1, broken=40, margin=0.02) < 1e-6


def test_the_limits_of_few_pairs_reach_as_far_as_an_accuracy_can_change() -> None:
    found = difference_so_far(2, fixed=0, broken=0)
    assert found.low == pytest.approx(-1, abs=0.1) and found.high == pytest.approx(1, abs=0.1)
    assert difference_so_far(0, fixed=0, broken=0).undefined_because == "nothing was measured yet"


def test_counts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match=r"^of 5 pairs, 3 were fixed and 3 broken\nhint: each pair is fixed, broken"):
        difference_so_far(5, fixed=3, broken=3)
