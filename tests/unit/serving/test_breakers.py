import json
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.serving.breaker import BreakerSettings
from vitrail.serving.breakers import Breakers


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class House:
    """Breakers of `ants`, and of `bees` which always work unless a test breaks them, at a time that tests set."""

    def __init__(self, models=("ants", "bees"), **settings):
        self.clock = Clock()
        self.breakers = Breakers(models, self.clock, BreakerSettings(**settings))

    def fail(self, model="ants", times=1, reason="it crashed"):
        for _ in range(times):
            self.breakers.admitted(model).failed(reason)

    def succeed(self, model="ants", times=1):
        for _ in range(times):
            self.breakers.admitted(model).succeeded()

    def asked(self, model="ants"):
        permit = self.breakers.admitted(model)
        if permit is not None:
            permit.abandoned()
        return permit is not None

    def state(self, model="ants"):
        return next(state for state in self.breakers.states() if state.model == model)


def test_five_failures_in_a_row_open_it():
    house = House()
    house.fail(times=4)
    assert house.asked()
    house.fail()
    assert not house.asked()
    assert house.asked("bees")


def test_a_success_begins_the_count_anew():
    house = House(failing_share=1.0)
    for _ in range(10):
        house.fail(times=4)
        house.succeed()
    assert house.asked()


def test_half_of_the_latest_twenty_answers_failing_opens_it():
    house = House()
    for _ in range(9):
        house.succeed()
        house.fail()
    house.succeed()
    assert house.asked()
    house.fail()
    assert not house.asked()


def test_failures_of_long_ago_do_not_count():
    house = House()
    for _ in range(9):
        house.succeed()
        house.fail()
    house.clock.now += 10
    house.succeed()
    house.fail()
    assert house.asked()


def test_fewer_failures_than_the_share_leave_it_closed():
    house = House()
    for _ in range(200):
        house.succeed(times=3)
        house.fail(times=2)
    assert house.asked()


def test_after_five_seconds_one_request_tries_it_and_its_success_closes_it():
    house = House()
    house.fail(times=5)
    house.clock.now += 4.99
    assert house.breakers.admitted("ants") is None
    house.clock.now += 0.01
    probe = house.breakers.admitted("ants")
    assert probe is not None and house.breakers.admitted("ants") is None
    assert house.state().state == "half-open"
    probe.succeeded()
    assert house.asked() and house.asked()
    assert house.state().reason is None


def test_each_probe_that_fails_doubles_the_wait_up_to_a_minute():
    house, waits = House(), []
    house.fail(times=5)
    for _ in range(6):
        waits.append(house.state().seconds_to_probe)
        house.clock.now += waits[-1]
        house.fail()
    assert waits == [5, 10, 20, 40, 60, 60]


def test_once_closed_the_first_wait_is_short_again():
    house = House()
    house.fail(times=5)
    for _ in range(2):
        house.clock.now += house.state().seconds_to_probe
        house.fail()
    house.clock.now += house.state().seconds_to_probe
    house.succeed()
    house.fail(times=4)
    assert house.state().state == "closed"
    house.fail()
    assert house.state().seconds_to_probe == 5


@pytest.mark.parametrize("round_", range(20))
def test_of_sixteen_threads_exactly_one_gets_the_probe(round_):
    house = House()
    house.fail(times=5)
    house.clock.now += 5
    barrier, got = threading.Barrier(16), []

    def ask():
        barrier.wait()
        got.append(house.breakers.admitted("ants"))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 16 and sum(permit is not None for permit in got) == 1


def test_threads_that_fail_at_once_open_it_once():
    house = House()
    permits = [house.breakers.admitted("ants") for _ in range(64)]
    threads = [threading.Thread(target=permit.failed, args=("it crashed",)) for permit in permits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert house.state().openings == 1
    assert house.state().seconds_to_probe == 5


def test_a_probe_whose_outcome_never_comes_has_failed_after_its_time():
    house = House()
    house.fail(times=5)
    house.clock.now += 5
    lost = house.breakers.admitted("ants")
    house.clock.now += 14.9
    assert house.breakers.admitted("ants") is None
    house.clock.now += 0.1
    assert house.breakers.admitted("ants") is None
    assert (house.state().state, house.state().reason) == ("open", "a probe had no outcome after 15 s")
    assert house.state().seconds_to_probe == 10
    lost.succeeded()
    assert house.state().state == "open"
    house.clock.now += 10
    assert house.breakers.admitted("ants") is not None


def test_long_after_a_lost_probe_the_next_request_is_one():
    house = House()
    house.fail(times=5)
    house.clock.now += 5
    house.breakers.admitted("ants")
    house.clock.now += 3600
    assert house.breakers.admitted("ants") is not None
    assert house.breakers.admitted("ants") is None


def test_a_probe_that_nobody_waits_for_lets_the_next_request_try():
    house = House()
    house.fail(times=5)
    house.clock.now += 5
    house.breakers.admitted("ants").abandoned()
    assert house.state().openings == 1
    second = house.breakers.admitted("ants")
    assert second is not None and house.breakers.admitted("ants") is None
    second.succeeded()
    assert house.state().state == "closed"


def test_what_was_asked_before_it_opened_changes_nothing_after():
    house = House()
    good, bad = (house.breakers.admitted("ants") for _ in range(2))
    house.fail(times=5)
    bad.failed("late")
    good.succeeded()
    assert (house.state().state, house.state().reason, house.state().openings) == ("open", "it crashed", 1)
    assert house.state().seconds_to_probe == 5


def test_only_the_first_outcome_of_a_permit_counts():
    house = House(failures_to_open=2)
    permit = house.breakers.admitted("ants")
    permit.failed("one")
    permit.failed("two")
    permit.succeeded()
    assert (house.state().state, house.state().failures_in_a_row) == ("closed", 1)


def test_faults_of_the_client_say_nothing_about_the_model():
    house = House()
    for _ in range(100):
        house.breakers.admitted("ants").abandoned()
    assert house.state().failures_in_a_row == 0 and house.asked()


def test_the_last_that_works_is_never_left_alone_and_says_so():
    house = House()
    house.fail("ants", 5)
    house.fail("bees", 50)
    assert house.asked("bees")
    assert (house.state("bees").state, house.state("bees").kept_as_last) == ("closed", True)
    house.succeed("bees", 60)
    assert not house.state("bees").kept_as_last


def test_one_model_alone_is_never_left_alone():
    house = House(["ants"])
    house.fail(times=100)
    assert house.asked() and house.state().kept_as_last


def test_the_last_opens_at_its_next_failure_once_another_works_again():
    house = House()
    house.fail("ants", 5)
    house.fail("bees", 50)
    house.clock.now += 5
    house.succeed("ants")
    house.fail("bees")
    assert (house.asked("ants"), house.asked("bees")) == (True, False)


def test_a_model_that_is_being_tried_does_not_count_as_one_that_works():
    house = House()
    house.fail("ants", 5)
    house.clock.now += 5
    house.breakers.admitted("ants")
    house.fail("bees", 50)
    assert house.state("bees").state == "closed"


def test_a_model_that_is_not_served_is_not_admitted():
    assert House().breakers.admitted("wasps") is None


def test_models_come_and_go_and_those_that_stay_keep_their_state():
    house = House(["ants", "bees", "wasps"])
    house.fail("ants", 5)
    house.breakers.follow(["moths", "ants", "bees"])
    assert [state.model for state in house.breakers.states()] == ["moths", "ants", "bees"]
    assert (house.asked("ants"), house.asked("moths"), house.asked("wasps")) == (False, True, False)


def test_where_only_models_that_were_left_alone_stay_the_one_next_to_be_tried_is_asked_again():
    house = House(["ants", "bees", "wasps"])
    house.fail("ants", 5)
    house.clock.now += 1
    house.fail("bees", 5)
    house.breakers.follow(["bees", "ants"])
    assert (house.asked("ants"), house.asked("bees")) == (True, False)


def test_outcomes_for_a_model_that_has_gone_are_not_heard():
    house = House()
    permit = house.breakers.admitted("ants")
    house.breakers.follow(["bees"])
    permit.failed("too late")
    house.breakers.follow(["ants", "bees"])
    assert house.state("ants").failures_in_a_row == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_whatever_happens_one_model_is_always_asked(seed, count):
    draw = random.Random(seed)
    house = House([f"m{number}" for number in range(count)], failures_to_open=2)
    pending = []
    for _ in range(200):
        house.clock.now += draw.choice([0.0, 0.1, 3.0, 20.0])
        pending.append(house.breakers.admitted(f"m{draw.randrange(count)}"))
        permit = pending.pop(draw.randrange(len(pending)))
        if permit is not None:
            outcome = draw.choice(["succeeded", "failed", "failed", "failed", "abandoned", "lost"])
            if outcome == "failed":
                permit.failed("it crashed")
            elif outcome != "lost":
                getattr(permit, outcome)()
        if draw.random() < 0.02:
            house.breakers.follow([f"m{number}" for number in draw.sample(range(count), draw.randint(1, count))])
        assert any(state.state == "closed" for state in house.breakers.states())


def test_a_refused_client_is_told_when_a_model_may_be_asked_again():
    house = House(["ants", "bees", "wasps"])
    house.fail("ants", 5)
    house.clock.now += 2
    house.fail("bees", 5)
    assert house.breakers.seconds_to_probe(["bees", "ants", "gone"]) == 3
    assert house.breakers.seconds_to_probe(["wasps"]) is None


def test_states_are_plain_values_for_the_console():
    house = House()
    house.fail(times=5, reason="it hangs")
    house.clock.now += 2
    assert json.loads(json.dumps(house.breakers.as_json())) == [
        {"model": "ants", "state": "open", "seconds": 2.0, "reason": "it hangs", "failures_in_a_row": 5,
         "kept_as_last": False, "seconds_to_probe": 3.0, "openings": 1},
        {"model": "bees", "state": "closed", "seconds": 2.0, "reason": None, "failures_in_a_row": 0,
         "kept_as_last": False, "seconds_to_probe": None, "openings": 0},
    ]  # fmt: skip


def test_a_canary_that_works_does_not_let_the_only_model_of_the_users_be_left_alone():
    house = House(("stable", "canary"), failures_to_open=2)
    house.breakers.follow(("stable", "canary"), answering=("stable",))
    house.fail("stable", times=10)
    assert house.asked("stable") and house.state("stable").kept_as_last
    house.fail("canary", times=2)
    assert not house.asked("canary")


def test_a_model_with_another_package_begins_anew():
    house = House(failures_to_open=2)
    house.fail(times=2)
    assert not house.asked()
    house.breakers.follow(("ants", "bees"), fresh=("ants",))
    assert house.asked()
