"""Traffic that does not go where it was sent is noticed, and chance is not taken for it."""

import numpy as np
import pytest
from scipy.special import gammaln

from vitrail.basics.errors import InputError
from vitrail.measures.sample_ratio import CONCENTRATION, sample_ratio

EQUAL = {"canary": 0.05, "control": 0.05}


def test_fair_traffic_is_called_a_mismatch_in_one_of_a_thousand_streams_at_most_looking_after_every_user() -> None:
    random = np.random.default_rng(0)
    n = np.arange(1, 2001)
    hits = np.cumsum(random.random((1000, 2000)) < 0.5, axis=1)
    half = CONCENTRATION / 2
    factor = gammaln(CONCENTRATION) - gammaln(CONCENTRATION + n) - 2 * gammaln(half)
    factor = factor + gammaln(half + hits) + gammaln(half + n - hits) + n * np.log(2)
    assert (factor >= np.log(1000)).any(axis=1).sum() <= 3
    said = sample_ratio({"canary": int(hits[0, -1]), "control": int(2000 - hits[0, -1])}, EQUAL)
    assert said.p_value == pytest.approx(min(1.0, float(np.exp(-factor[0, -1]))))
    assert not said.is_mismatch


def test_a_canary_that_loses_a_tenth_of_its_users_is_noticed_and_the_sentence_says_so() -> None:
    said = sample_ratio({"canary": 4500, "control": 5000}, EQUAL)
    assert said.is_mismatch
    assert said.text() == "canary 4,500 (expected 4,750.0), control 5,000 (expected 4,750.0); p = 2.2e-05"
    assert not sample_ratio({"canary": 90, "control": 100}, EQUAL).is_mismatch


def test_unequal_shares_and_three_arms_are_compared_with_what_was_set() -> None:
    shares = {"canary": 0.1, "control": 0.1, "others": 0.8}
    assert not sample_ratio({"canary": 1010, "control": 990, "others": 8000}, shares).is_mismatch
    assert sample_ratio({"canary": 1010, "control": 990, "others": 7000}, shares).is_mismatch


def test_no_users_at_all_are_no_mismatch_and_a_million_in_one_arm_overflow_nothing() -> None:
    assert sample_ratio({"canary": 0, "control": 0}, EQUAL).p_value == 1
    assert sample_ratio({"canary": 1_000_000, "control": 0}, EQUAL).p_value == 0


def test_arms_that_are_not_the_same_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"^units of canary were to be compared with shares of .*\nhint: the same arms"
    ):
        sample_ratio({"canary": 3}, EQUAL)
    with pytest.raises(InputError, match="each with a share above 0"):
        sample_ratio({"canary": 3}, {"canary": 0.0})
