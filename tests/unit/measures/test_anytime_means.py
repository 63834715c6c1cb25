"""Limits of means hold at every moment at once, and are as narrow as published ones."""

import math

import numpy as np
import pytest

from vitrail.basics.errors import InputError
from vitrail.measures.anytime_means import (
    FRACTIONS,
    LEAST_VALUES,
    asymptotic_mean,
    boundary,
    bounded_mean,
    difference_of_shares,
    log_capital,
)

SHARES = np.array([0.0, 1.0])


def values_until_found(effect: float, deviation: float, *, alpha: float = 0.05) -> int:
    n = np.arange(100, 100_000)
    limits = np.array([boundary(float(each), alpha=alpha, sides=1) for each in n[::20]])
    return int(n[::20][np.argmax(effect > deviation * limits)])


@pytest.mark.parametrize(
    ("one", "other", "published"),
    [(0.005, 0.01, 9306), (0.005, 0.02, 1846), (0.005, 0.05, 626),
     (0.15, 0.16, 46_463), (0.15, 0.17, 10_570), (0.15, 0.20, 1928)],
)  # fmt: skip
def test_differences_of_shares_are_found_after_as_many_requests_as_computed_elsewhere(one, other, published) -> None:
    deviation = math.sqrt(2 * (one * (1 - one) + other * (1 - other)))
    assert values_until_found(other - one, deviation) == pytest.approx(published, rel=0.05)


@pytest.mark.parametrize(
    ("drop", "disagreement", "published"),
    [(0.01, 0.03, 2421), (0.01, 0.06, 4633), (0.01, 0.1, 7757),
     (0.02, 0.03, 801), (0.02, 0.06, 1351), (0.02, 0.1, 2064)],
)  # fmt: skip
def test_paired_differences_are_found_after_as_many_pairs_as_computed_elsewhere(drop, disagreement, published) -> None:
    assert values_until_found(drop, math.sqrt(disagreement - drop**2)) == pytest.approx(published, rel=0.05)


def test_the_capital_is_that_of_constant_bets_whatever_the_order() -> None:
    values = np.array([0.0, 0.5, 1.0])
    stream = np.random.default_rng(0).choice(values, 40)
    expected = np.mean([np.prod([1 - f + f * value / 0.4 for value in stream]) for f in FRACTIONS])
    counts = np.array([(stream == value).sum() for value in values], dtype=np.float64)
    assert log_capital(values, counts, null=0.4, side="above") == pytest.approx(math.log(expected))
    mirrored = log_capital(1 - values, counts, null=0.6, side="below")
    assert mirrored == pytest.approx(math.log(expected))


@pytest.mark.parametrize("mean", [0.003, 0.2, 0.5, 0.98])
def test_exact_limits_miss_the_mean_at_any_moment_in_one_of_twenty_streams_at_most(mean: float) -> None:
    """The null is the truth: its capital must not reach 40 on either side."""
    hits = np.cumsum(np.random.default_rng(1).random((400, 2000)) < mean, axis=1)
    n = np.arange(1, 2001)
    crossed = np.zeros(400, dtype=bool)
    for k, null in ((hits, mean), (n - hits, 1 - mean)):
        logs = [np.log1p(f * (1 / null - 1)) * k + np.log1p(-f) * (n - k) for f in FRACTIONS]
        crossed |= (np.logaddexp.reduce(logs, axis=0) - math.log(len(FRACTIONS)) >= math.log(40)).any(axis=1)
    assert crossed.mean() <= 0.05


def test_exact_limits_hold_the_mean_at_which_the_capital_is_what_is_needed() -> None:
    counts = np.array([70.0, 30.0])
    found = bounded_mean(SHARES, counts, name="share")
    assert found.value == pytest.approx(0.3) and found.low is not None and found.high is not None
    assert log_capital(SHARES, counts, null=found.low, side="above") == pytest.approx(math.log(40), abs=1e-4)
    assert log_capital(SHARES, counts, null=found.high, side="below") == pytest.approx(math.log(40), abs=1e-4)
    assert 0 < found.low < 0.2 < 0.4 < found.high < 0.6


@pytest.mark.parametrize(("misses", "hits", "low", "high"), [(50, 0, 0.0, 0.15), (0, 50, 0.85, 1.0), (1, 0, 0.0, 1.0)])
def test_what_never_happened_is_not_impossible(misses: int, hits: int, low: float, high: float) -> None:
    found = bounded_mean(SHARES, np.array([misses, hits], dtype=np.float64), name="share")
    assert found.low == pytest.approx(low, abs=0.06) and found.high == pytest.approx(high, abs=0.06)


def test_values_outside_the_bounds_are_refused_and_no_values_are_undefined() -> None:
    with pytest.raises(InputError, match=r"^gain: values from -1 to 1\nhint: exact limits need values from 0 to 1"):
        bounded_mean(np.array([-1.0, 1.0]), np.ones(2), name="gain")
    assert bounded_mean(SHARES, np.zeros(2), name="share").undefined_because == "nothing was measured yet"


@pytest.mark.parametrize("kind", ["exponential", "normal"])
def test_asymptotic_limits_miss_the_mean_at_any_moment_in_about_one_of_twenty_streams_at_most(kind: str) -> None:
    random = np.random.default_rng(2)
    values = random.exponential(1.0, (400, 3000)) if kind == "exponential" else random.normal(1.0, 1.0, (400, 3000))
    n = np.arange(1, 3001)
    means = np.cumsum(values, axis=1) / n
    deviations = np.sqrt(np.maximum(np.cumsum(values**2, axis=1) / n - means**2, 0))
    limits = np.array([boundary(float(each), alpha=0.05, sides=2) for each in n])
    missed = (np.abs(means - 1) > deviations * limits)[:, LEAST_VALUES - 1 :]
    assert missed.any(axis=1).mean() <= 0.05


def test_asymptotic_limits_are_none_before_there_are_enough_values() -> None:
    early, late = (asymptotic_mean(0.5, 1.0, n, name="gain") for n in (99, 100))
    assert early.low is None and early.undefined_because == "99 values, at least 100 are needed"
    assert late.low is not None and late.low < 0.5


def test_a_difference_of_shares_is_never_certain_because_nothing_failed_yet() -> None:
    found = difference_of_shares(0, 200, 0, 200, name="failures")
    assert found.value == 0 and found.low is not None and found.low < 0 < found.high
    assert difference_of_shares(0, 0, 0, 9, name="failures").undefined_because == "one of both has no requests"
