import numpy as np
import pytest

from vitrail.measures.deletion import area_under, deletion_gap, judged_deletion

SHARES = np.array([0.0, 0.25, 0.5, 1.0])


def _judged(probability, random_areas, even_area=0.6):
    return judged_deletion(np.array(probability), SHARES, random_areas=np.array(random_areas), even_area=even_area)


def test_the_area_is_that_of_trapezoids():
    assert area_under(np.array([1.0, 0.6, 0.2, 0.0]), SHARES) == pytest.approx(0.25 * 0.8 + 0.25 * 0.4 + 0.5 * 0.1)


def test_a_map_says_more_than_chance_only_below_all_of_nineteen_random_maps():
    found = _judged([1.0, 0.1, 0.1, 0.0], np.linspace(0.4, 0.8, 19))
    assert (found.verdict, found.p_value) == ("says more than chance", pytest.approx(0.05))
    assert _judged([1.0, 0.1, 0.1, 0.0], [0.1, *np.linspace(0.4, 0.8, 18)]).verdict == "not more than chance"


def test_fewer_than_nineteen_random_maps_never_suffice():
    assert _judged([1.0, 0.1, 0.1, 0.0], np.linspace(0.4, 0.8, 18)).verdict == "not more than chance"


def test_a_map_that_is_no_better_than_fading_everything_says_no_more_than_chance():
    assert _judged([1.0, 0.1, 0.1, 0.0], np.linspace(0.4, 0.8, 19), even_area=0.1).verdict == "not more than chance"


def test_a_tie_with_a_random_map_counts_against_the_map():
    own = area_under(np.array([1.0, 0.1, 0.1, 0.0]), SHARES)
    assert _judged([1.0, 0.1, 0.1, 0.0], [own, *[0.9] * 18]).p_value == pytest.approx(0.1)


def test_nothing_can_be_judged_where_an_empty_picture_gets_the_answer_as_surely():
    found = _judged([0.9, 0.1, 0.1, 0.9], np.linspace(0.6, 0.8, 19))
    assert found.verdict == "cannot be judged"
    assert found.text() == "cannot be judged: an empty picture gets this answer with 90.0 %"


def test_maps_that_know_nothing_seem_to_say_more_in_at_most_five_of_a_hundred_draws():
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(2000):
        draw = random.normal(size=20) * 0.01 + 0.5
        curve = [2 * draw[0] - 0.001, 0.5, 0.5, 0.0]
        areas = np.array([area_under(np.array([2 * each - 0.001, 0.5, 0.5, 0.0]), SHARES) for each in draw[1:]])
        alarms += _judged(curve, areas, even_area=1.0).verdict == "says more than chance"
    assert alarms / 2000 <= 0.065


def test_a_sample_of_maps_is_judged_with_interval_and_by_groups():
    random = np.random.default_rng(0)
    own, others = random.normal(0.4, 0.05, 40), random.normal(0.6, 0.05, 40)
    found = deletion_gap(own, others, name="gap")
    assert found.verdict == "says more than chance" and found.gap.low > 0
    assert found.gap.value == pytest.approx((others - own).mean())
    assert deletion_gap(own, own.copy(), name="gap").verdict == "not more than chance"
    assert deletion_gap(others, own, name="gap").verdict == "not more than chance"
    one_patient = deletion_gap(own, others, name="gap", groups=np.zeros(40, dtype=int))
    assert one_patient.verdict == "not more than chance" and one_patient.gap.low is None
