"""How fast a model answers while something waits."""

import pytest

from vitrail.serving.pace import Pace


def test_the_pace_is_the_time_between_answers_and_idle_time_is_no_part_of_it() -> None:
    pace = Pace()
    assert pace.seconds == 0.0
    pace.begin(10.0)
    pace.answered(10.5)
    pace.begin(100.0)  # nothing waited for a minute and a half
    pace.answered(100.1)
    pace.answered(100.7)
    assert pace.seconds == pytest.approx((0.5 + 0.1 + 0.6) / 3)


def test_the_pace_of_a_machine_that_slows_down_is_that_of_the_latest_answers() -> None:
    pace = Pace()
    for number in range(100):
        pace.answered(0.01 * number)
    for number in range(1, 33):
        pace.answered(1.0 + number)
    assert pace.seconds == pytest.approx(1.0, rel=0.01)


def test_answers_of_one_batch_cost_its_time_together() -> None:
    pace = Pace()
    pace.begin(0.0)
    for _ in range(4):
        pace.answered(1.0)
    assert pace.seconds == pytest.approx(0.25)
