"""Windows of the last seconds to an hour, whatever happens to the clock."""

import json
import threading
import tracemalloc

import pytest

from tests.unit.monitoring.false_clock import FalseClock
from vitrail.basics.clock import SystemClock
from vitrail.basics.errors import InputError
from vitrail.monitoring.live_figures import ALL_REQUESTS, LiveFigures
from vitrail.monitoring.slots import HISTORY_SLOTS, slot_at
from vitrail.monitoring.tally import Outcome, Tally

ANSWER = Outcome("success", 0.02, "ant", 0.9, False)


@pytest.fixture
def clock() -> FalseClock:
    return FalseClock()


@pytest.fixture
def live(clock) -> LiveFigures:
    return LiveFigures(clock)


def test_figures_have_the_names_of_the_articles_and_are_json(live, clock) -> None:
    for each in [ANSWER] * 17 + [Outcome("fallback_success", 2.0, "bee", 0.55, True), Outcome("failure", 0.1)]:
        live.count("stable", each)
    live.count("stable", Outcome("refused"))
    clock.go_on(10)
    found = json.loads(json.dumps(live.window("stable", seconds=300.0).as_json(), allow_nan=False))
    assert found["total_requests"] == 19 and found["failure_count"] == 1 and found["refused"] == 1
    assert found["fallbacks_taken"] == 1
    assert found["success_rate"] == 18 / 19
    assert found["success_rate_interval"] == [pytest.approx(0.7536, abs=1e-3), pytest.approx(0.9906, abs=1e-3)]
    assert found["avg_inference_time"] == pytest.approx((17 * 0.02 + 2) / 18)
    assert found["p50_inference_time"] == pytest.approx(0.02, rel=0.01)
    assert found["p95_inference_time"] == found["p99_inference_time"] == pytest.approx(2.0, rel=0.01)
    assert found["answers"] == {"ant": {"count": 17, "share": 17 / 18}, "bee": {"count": 1, "share": 1 / 18}}
    assert found["confidence"]["mean"] == pytest.approx((17 * 0.9 + 0.55) / 18)
    assert found["confidence"]["histogram"] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 17]
    assert (found["unlike_share"], found["unlike_n"]) == (1 / 18, 18)
    assert found["requests_per_second"] == pytest.approx(1.9)


def test_where_nothing_was_counted_figures_are_none_not_zero(live) -> None:
    found = live.window("nobody", seconds=60.0).as_json()
    assert found["total_requests"] == 0 and found["answers"] == {}
    times = [f"{which}_inference_time" for which in ("avg", "p50", "p95", "p99")]
    nothing = [*times, "success_rate", "success_rate_interval", "unlike_share", "unlike_interval"]
    assert {found[name] for name in nothing} == {None} and found["confidence"]["mean"] is None
    assert found["requests_per_second"] is None and live.arms() == []


def test_a_window_forgets_what_is_older_to_within_a_slot(live, clock) -> None:
    live.count("a", ANSWER)
    clock.go_on(58)
    live.count("a", ANSWER)
    assert live.window("a", seconds=60.0).total_requests == 2
    clock.go_on(7)
    assert live.window("a", seconds=60.0).total_requests == 1
    assert live.window("a", seconds=3600.0).total_requests == 2
    clock.go_on(3606)
    assert live.window("a", seconds=3600.0).total_requests == 0
    assert live.arms() == []


def test_a_clock_that_is_set_by_an_hour_changes_nothing(live, clock) -> None:
    for step in (3600, -7200, 0):
        live.count("a", ANSWER)
        clock.set_wall(step)
        clock.go_on(5)
    assert live.window("a", seconds=60.0).total_requests == 3
    assert live.window("a", seconds=60.0).requests_per_second == pytest.approx(0.2)


@pytest.mark.parametrize("start", [0, 2.5, 31, 59])
def test_every_window_is_the_sum_of_its_slots_also_where_whole_minutes_are_added_up(start) -> None:
    clock = FalseClock(1_700_000_000.0 - 1_700_000_000 % 60 + start)
    live, counted = LiveFigures(clock), []
    for step in range(900):
        for _ in range(step % 3):
            live.count("a", ANSWER)
            counted.append(slot_at(live.now()))
        clock.go_on(4.7)
        if step % 50 == 0:
            for seconds in (1.0, 5.0, 60.0, 61.0, 300.0, 3599.0, 3600.0):
                expected = sum(slot >= slot_at(live.now() - seconds) for slot in counted)
                assert live.window("a", seconds=seconds).total_requests == expected
    assert len(live._own["a"]) <= HISTORY_SLOTS + 1


@pytest.mark.parametrize("seconds", [0.0, 0.5, 90.5, 3601.0, -60.0])
def test_a_window_that_cannot_be_is_refused_in_words(live, seconds) -> None:
    with pytest.raises(InputError) as refused:
        live.window("a", seconds=seconds)
    assert str(refused.value) == (
        f"a window of {seconds:g} seconds was asked for\nhint: ask for whole seconds, from 1 to 3,600"
    )


def test_a_series_has_the_same_requests_as_the_window_and_knows_when_nobody_counted(live, clock) -> None:
    for minute in range(10):
        for _ in range(minute):
            live.count("a", ANSWER if minute != 5 else Outcome("failure"))
        clock.go_on(60)
    series = live.series("a", seconds=3600.0, points=60)
    assert len(series) == 60 and [point.at for point in series] == sorted(point.at for point in series)
    assert sum(point.total_requests for point in series) == 45
    assert sum(point.failure_count for point in series) == 5
    assert series[10].requests_per_second is None and series[-3].requests_per_second > 0
    assert {point.p95_inference_time for point in series if not point.total_requests} == {None}
    json.dumps([point.as_json() for point in series], allow_nan=False)
    assert len(live.series("a", seconds=60.0, points=60)) == 12
    with pytest.raises(InputError, match="a series of 0 points was asked for\nhint: ask for 1 to 720"):
        live.series("a", points=0)


def test_what_others_counted_is_merged_and_replaced_not_doubled(live, clock) -> None:
    theirs = Tally()
    for _ in range(3):
        theirs.count(ANSWER)
    live.count("a", ANSWER)
    clock.go_on(90)
    live.put("elsewhere", "a", slot_at(live.now()), Tally())
    for _ in range(2):
        live.put("elsewhere", "a", slot_at(live.now()) - 17, theirs)
        assert live.window("a", seconds=300.0).total_requests == 4
    live.put("elsewhere", "a", slot_at(live.now()) - 18, theirs)  # late, within a minute that was added up before
    assert live.window("a", seconds=300.0).total_requests == 7
    live.put("elsewhere", "b", slot_at(live.now()) - 100, theirs)
    assert live.arms() == ["a", "b"]
    assert live.window("b", seconds=3600.0).covered_seconds == pytest.approx(500, abs=6)


def test_finished_slots_are_given_once_and_the_last_when_asked(live, clock) -> None:
    live.count("a", ANSWER)
    assert live.finished(after={}) == []
    clock.go_on(5)
    live.count("a", ANSWER)
    ((arm, slot, tally),) = live.finished(after={})
    assert (arm, tally.total) == ("a", 1)
    assert live.finished(after={"a": slot}) == []
    ((_, last, copy),) = live.finished(after={"a": slot}, unfinished=True)
    live.count("a", ANSWER)
    assert (last, copy.total) == (slot + 1, 1)  # nobody counts in it while it is written


def test_requests_as_users_see_them_are_no_arm(live) -> None:
    live.count("a", Outcome("failure"))
    live.count("b", Outcome("fallback_success", 0.1))
    live.count(ALL_REQUESTS, Outcome("fallback_success", 0.2))
    assert live.arms() == ["a", "b"]
    assert live.window(ALL_REQUESTS).success_rate.value == 1.0


def test_several_threads_count_without_losing_any() -> None:
    live = LiveFigures(SystemClock())

    def counting() -> None:
        for _ in range(5000):
            live.count("a", ANSWER)

    threads = [threading.Thread(target=counting) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        live.window("a", seconds=60.0)
    for thread in threads:
        thread.join()
    assert live.window("a", seconds=60.0).total_requests == 20_000


def test_memory_is_flat_after_an_hour(live, clock) -> None:
    def hour() -> int:
        for step in range(900):
            for each in range(6):
                live.count("a", Outcome("success", 0.001 * (1 + each), f"class {each}", 0.5))
            clock.go_on(5)
            if step % 100 == 0:
                live.window("a", seconds=3600.0)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first, second = hour(), hour()
    finally:
        tracemalloc.stop()
    assert second - first < 100_000
