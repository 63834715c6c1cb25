"""An arm that fails more often than its control is found, and one that does not is hardly ever blamed."""

import math

import numpy as np
import pytest

from vitrail.basics.errors import InputError
from vitrail.measures.anytime_counts import (
    Block,
    RateTest,
    alternatives,
    log_winnings,
    nearest_alike,
    run_shares,
)


def share_that_ever_crosses(margin, side, control, arm, *, alpha=0.05, streams=300, pairs=1500) -> float:
    """Looking after every pair of requests."""
    random = np.random.default_rng(0)
    outcomes = [[1, a, 1, b] for a in (0, 1) for b in (0, 1)]
    won = log_winnings(np.array(outcomes, dtype=np.float64), margin, side)
    place = 2 * (random.random((pairs, streams)) < arm) + (random.random((pairs, streams)) < control)
    logs, highest = np.zeros((streams, won.shape[1])), np.full(streams, -np.inf)
    for row in place:
        logs += won[row]
        largest = logs.max(axis=1)
        highest = np.maximum(highest, largest + np.log(np.exp(logs - largest[:, None]).mean(axis=1)))
    return float((highest >= math.log(1 / alpha)).mean())


@pytest.mark.parametrize("margin", [0.0, 0.002, 0.05])
@pytest.mark.parametrize("control", [0.001, 0.05, 0.3])
def test_an_arm_that_fails_by_the_margin_more_is_blamed_in_one_of_twenty_at_most_looking_after_every_request(
    margin: float, control: float
) -> None:
    assert share_that_ever_crosses(margin, "above", control, control + margin) <= 0.05


@pytest.mark.parametrize("control", [0.001, 0.05])
def test_an_arm_that_is_worse_by_the_margin_is_called_not_worse_in_one_of_twenty_at_most(control: float) -> None:
    assert share_that_ever_crosses(0.05, "below", control, control + 0.05) <= 0.05


def test_the_expectation_of_every_bet_is_at_most_one_under_any_rates_that_the_null_allows() -> None:
    """Reckoned over all outcomes of a block of 3 and 2 requests: this is what makes the test exact."""
    margin = 0.1
    outcomes = [(3, k, 2, j) for k in range(4) for j in range(3)]
    won = np.exp(log_winnings(np.array(outcomes, dtype=np.float64), margin, "above"))
    for control in np.linspace(0, 0.9, 19):
        for arm in np.linspace(0, control + margin, 7):
            weights = [chance(3, k, arm) * chance(2, j, control) for _, k, _, j in outcomes]
            assert (np.array(weights) @ won).max() <= 1 + 1e-9


def chance(n: int, k: int, rate: float) -> float:
    return float(math.comb(n, k) * rate**k * (1 - rate) ** (n - k))


def test_the_nearest_pair_without_a_margin_is_the_pooled_rate_and_with_one_the_hardest_of_all() -> None:
    control, arm, share = np.array([0.01, 0.2]), np.array([0.05, 0.9]), np.array([[0.25], [0.5]])
    found, shifted = nearest_alike(control, arm, margin=0.0, share=share)
    assert np.allclose(found, share * arm + (1 - share) * control) and np.allclose(found, shifted)
    found, shifted = nearest_alike(control, arm, margin=0.02, share=share)
    assert np.allclose(shifted - found, 0.02)

    def divergence(base):
        return share * _kl(arm, base + 0.02) + (1 - share) * _kl(control, base)

    assert (divergence(found) <= np.minimum(divergence(found - 1e-4), divergence(found + 1e-4))).all()


def _kl(one, other):
    return one * np.log(one / other) + (1 - one) * np.log((1 - one) / (1 - other))


def test_sample_sizes_are_near_those_of_an_asymptotic_test() -> None:
    """0.5 % against 2 % and 5 % failures, α 0.05: 1,846 and 626 requests of both arms for asymptotic sequences."""
    for arm, most in ((0.02, 2000), (0.05, 650)):
        test, requests = RateTest.begun(margin=0.0), 0
        while test.p_value > 0.05:
            test, requests = test.after(Block(200, round(200 * arm), 200, 1)), requests + 400
        assert requests <= most + 400


def test_traffic_that_is_unequal_or_comes_in_waves_of_failures_blames_nobody() -> None:
    random = np.random.default_rng(3)
    shape = (200, 60)
    rates, ours, others = (
        random.choice([0.001, 0.4], shape),
        random.integers(1, 60, shape),
        random.integers(1, 20, shape),
    )
    blocks = np.stack([ours, random.binomial(ours, rates), others, random.binomial(others, rates)], axis=2)
    won = log_winnings(blocks.reshape(-1, 4).astype(np.float64), 0.0, "above").reshape(*shape, -1)
    capitals = np.exp(np.cumsum(won, axis=1)).mean(axis=2)
    assert (capitals >= 20).any(axis=1).sum() <= 10


def test_an_arm_that_fails_after_it_was_well_for_long_is_found_sooner_by_a_new_run() -> None:
    def looks_until_found(*, new_run: bool) -> int:
        test = RateTest.begun(margin=0.002, runs=5)
        for _ in range(100):
            test = test.after(Block(200, 1, 200, 1))
        test = test.with_new_run() if new_run else test
        for look in range(1, 1000):
            test = test.after(Block(20, 2, 20, 0))
            if test.p_value < 0.01:
                return look
        raise AssertionError

    assert looks_until_found(new_run=True) < 0.5 * looks_until_found(new_run=False)


def test_the_capital_of_all_runs_together_is_one_at_the_start_and_only_so_many_runs_begin() -> None:
    test = RateTest.begun(margin=0.0, runs=3)
    assert test.log_capital == pytest.approx(0) and test.p_value == 1
    assert run_shares(3).sum() == pytest.approx(1) and run_shares(1).tolist() == [1]
    for _ in range(5):
        test = test.with_new_run()
    assert test.running == 3


def test_what_was_kept_by_an_older_version_still_means_the_same() -> None:
    """Golden: capitals are kept in the states of rollouts, by place of the grid."""
    test = RateTest.begun(margin=0.002, runs=3).after(Block(200, 9, 180, 1))
    assert test.log_capital == pytest.approx(1.2101869957433982, abs=1e-9)
    assert (len(test.log_capitals), len(test.log_capitals[0])) == (3, 49) and set(test.log_capitals[1]) == {0.0}


def test_what_only_one_arm_was_asked_says_nothing_until_the_other_is_asked_too() -> None:
    test = RateTest.begun(margin=0.0)
    waiting = test.after(Block(50, 50, 0, 0)).after(Block(0, 0, 0, 0))
    assert waiting.log_capital == pytest.approx(0) and waiting.highest == 0
    assert waiting.after(Block(0, 0, 60, 0)) == test.after(Block(50, 50, 60, 0))


@pytest.mark.parametrize("margin", [0.0, 0.3, 0.9, 0.98])
def test_there_is_something_to_bet_on_whatever_the_margin(margin: float) -> None:
    control, arm = alternatives(margin, "above")
    assert len(control) and (arm > control + margin).all() and (arm < 1).all()


def test_impossible_counts_and_margins_are_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"^3 failures of 2 requests, and 0 of 5 of the control\nhint: counts are 0"):
        RateTest.begun(margin=0.0).after(Block(2, 3, 5, 0))
    with pytest.raises(InputError, match=r"^a margin of 1 between two failure rates\nhint: 0 to below 1"):
        RateTest.begun(margin=1.0)
    with pytest.raises(InputError, match="above 0 where it is to be shown"):
        RateTest.begun(margin=0.0, side="below")
