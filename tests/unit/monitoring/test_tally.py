"""Parts add up to the whole, in any order; quantiles are within one percent."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.monitoring.latency import (
    BUCKETS,
    LONGEST_SECONDS,
    RELATIVE_ERROR,
    SHORTEST_SECONDS,
    bucket_of,
    quantile,
    seconds_of,
)
from vitrail.monitoring.tally import MOST_ANSWERS, OTHERS, Outcome, Tally, summed

OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from(["success", "fallback_success", "failure", "refused"]),
    seconds=st.none() | st.floats(0, 2000),
    answer=st.none() | st.sampled_from(["ant", "bee", "ladybird", "Ä"]),
    confidence=st.none() | st.floats(0, 1),
    unlike=st.none() | st.booleans(),
)


def tally_of(outcomes) -> Tally:
    tally = Tally()
    for each in outcomes:
        tally.count(each)
    return tally


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(OUTCOMES, st.integers(0, 4)), max_size=60), st.randoms())
def test_any_split_over_any_processes_in_any_order_gives_the_same_tally(counted, random) -> None:
    whole = tally_of(outcome for outcome, _ in counted)
    parts = [tally_of(outcome for outcome, of in counted if of == process) for process in range(5)]
    random.shuffle(parts)
    travelled = [Tally.from_json(json.loads(json.dumps(part.as_json()))) for part in parts]
    assert summed(parts) == summed(travelled) == whole
    assert whole.total == sum(outcome.status != "refused" for outcome, _ in counted)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(SHORTEST_SECONDS, LONGEST_SECONDS), min_size=1, max_size=200), st.integers(1, 100))
def test_a_quantile_is_within_the_stated_error_of_the_true_one(seconds, percent) -> None:
    found = quantile(tally_of(Outcome("success", each) for each in seconds).times, percent)
    true = sorted(seconds)[-(-percent * len(seconds) // 100) - 1]
    assert abs(found - true) <= RELATIVE_ERROR * true


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_quantiles_are_those_of_numpy(percent) -> None:
    seconds = np.random.default_rng(0).lognormal(-3, 1, 10_007)
    found = quantile(tally_of(Outcome("success", each) for each in seconds.tolist()).times, percent)
    assert found == pytest.approx(float(np.quantile(seconds, percent / 100, method="inverted_cdf")), rel=RELATIVE_ERROR)


def test_times_beyond_the_range_count_as_its_ends_and_what_is_no_time_is_left_out() -> None:
    assert quantile({}, 95) is None
    assert bucket_of(0.0) == 0 and bucket_of(math.inf) == BUCKETS - 1
    assert seconds_of(0) == SHORTEST_SECONDS
    assert seconds_of(BUCKETS - 1) == pytest.approx(LONGEST_SECONDS, rel=RELATIVE_ERROR)
    odd = tally_of(Outcome("success", seconds, confidence=seconds) for seconds in (math.nan, -1.0, None))
    assert odd.total == 3 and odd.mean_seconds is None and odd.mean_confidence is None
    long = tally_of([Outcome("success", math.inf, confidence=1.0000001)])
    assert long.mean_seconds == 1000.0 and long.mean_confidence == 1.0


def test_failures_say_nothing_of_times_and_refused_requests_nothing_of_the_arm() -> None:
    tally = tally_of([Outcome("success", 0.5), Outcome("failure", 0.001), Outcome("refused", 0.001)])
    assert (tally.total, tally.failures, tally.refused, tally.mean_seconds) == (2, 1, 1, 0.5)


def test_more_than_a_thousand_different_answers_are_counted_together() -> None:
    tally = tally_of(Outcome("success", answer=str(each)) for each in range(MOST_ANSWERS + 30))
    assert len(tally.answers) == MOST_ANSWERS + 1 and tally.answers[OTHERS] == 30
    tally.add(tally_of([Outcome("success", answer="another")]))
    assert tally.answers[OTHERS] == 31
