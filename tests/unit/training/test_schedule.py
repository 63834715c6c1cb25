import math

import pytest

from vitrail.training.schedule import rate_at


def rates(total: int, warmup: float, floor: float = 0.0) -> list[float]:
    return [rate_at(step, total, warmup, floor_fraction=floor) for step in range(total)]


def test_the_rate_rises_in_equal_steps_that_begin_above_zero_and_end_at_the_peak():
    assert rates(20, 0.2)[:4] == [0.25, 0.5, 0.75, 1.0]


def test_behind_the_rise_half_a_cosine_leads_from_the_peak_to_zero():
    found = rates(9, 0.5)  # round(4.5) is 4: four steps up, five down
    assert found[:4] == [0.25, 0.5, 0.75, 1.0]
    half = math.sqrt(0.5) / 2
    assert found[4:] == pytest.approx([1.0, 0.5 + half, 0.5, 0.5 - half, 0.0])


def test_the_floor_is_what_is_left_at_the_end_and_lifts_the_middle():
    assert rates(5, 0.0, 0.1) == pytest.approx([1.0, 0.1 + 0.9 * (0.5 + math.sqrt(0.5) / 2), 0.55,
                                                0.1 + 0.9 * (0.5 - math.sqrt(0.5) / 2), 0.1])  # fmt: skip


def test_the_floor_does_not_lift_the_rise():
    assert rates(10, 0.5, 0.3)[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_a_floor_of_one_keeps_the_peak():
    assert set(rates(7, 0.0, 1.0)) == {1.0}


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_beyond_the_last_step_the_floor_holds(total, warmup):
    for step in (total, total + 1, 10 * total):
        assert rate_at(step, total, warmup, floor_fraction=0.2) == pytest.approx(0.2)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_a_single_step_is_done_at_the_peak(warmup):
    assert rates(1, warmup, 0.01) == [1.0]


def test_without_a_rise_the_first_step_has_the_peak_and_the_last_the_floor():
    assert (rates(4, 0.0)[0], rates(4, 0.0)[-1]) == (1.0, 0.0)


def test_with_nothing_but_a_rise_the_last_step_has_the_peak():
    assert rates(4, 1.0) == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.3, 0.7, 1.0])
def test_the_rate_never_leaves_what_lies_between_zero_and_the_peak_and_turns_once(warmup):
    found = rates(50, warmup, 0.05)
    assert all(0 < rate <= 1 for rate in found)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1]) and found[top:] == sorted(found[top:], reverse=True)
