import numpy as np
import pytest

from tests.unit.rollout.operating.live import drawn, live, stream
from vitrail.rollout.operating.policy import TriggerSettings
from vitrail.rollout.operating.triggers import Declined, accuracy_bound, found_triggers

SETTINGS = TriggerSettings()


def kinds(figures, settings=SETTINGS, declined=None):
    return [(each.kind, each.about) for each in found_triggers(figures, settings, declined)]


def test_figures_as_they_should_be_open_nothing():
    rows = drawn(np.random.default_rng(0), 30, 20, {"f": 0.92, "m": 0.92})
    assert kinds(live(rows, windows=30, streams=[stream(0.3)])) == []
    assert kinds(live(windows=0)) == [] and kinds(live(windows=5, expected=None)) == []


def test_accuracy_that_fell_opens_a_proposal_with_its_numbers():
    rows = drawn(np.random.default_rng(1), 6, 20, {"f": 0.7, "m": 0.7})
    (found,) = found_triggers(live(rows, windows=6), SETTINGS)
    right = sum(times for _, _, hit, times in rows if hit)
    assert found.kind == "accuracy" and found.figures["accuracy"]["n"] == 240
    assert found.figures["accuracy"]["value"] == right / 240 and found.amount == pytest.approx(1 - right / 240)
    assert found.figures["bound"] == pytest.approx(accuracy_bound(live(windows=6), SETTINGS))
    assert found.sentence.startswith("flowers@1 is right less often than it should be: ")
    assert "92.0 % (87.4–95.0, n = 200) on its held-out images; at least 82.4% are asked for" in found.sentence


def test_an_accuracy_that_falls_late_is_found_and_what_was_good_before_is_not_counted():
    rng = np.random.default_rng(2)
    late = [(40 + window, *rest) for window, *rest in drawn(rng, 8, 20, {"f": 0.65, "m": 0.65})]
    (found,) = found_triggers(live(drawn(rng, 40, 20, {"f": 0.92, "m": 0.92}) + late, windows=48), SETTINGS)
    assert found.kind == "accuracy" and found.figures["since"] >= 1000 + 39 * 10


def test_the_least_accuracy_of_the_policy_counts_where_the_package_says_nothing():
    rows = drawn(np.random.default_rng(3), 6, 20, {"f": 0.7, "m": 0.7})
    assert kinds(live(rows, windows=6, expected=None)) == []
    assert kinds(live(rows, windows=6, expected=None), TriggerSettings(least_accuracy=0.9)) == [("accuracy", "")]
    assert kinds(live(rows, windows=6), TriggerSettings(least_truths=1000)) == []
    assert kinds(live(rows, windows=6), TriggerSettings(triggers=("shift", "fairness"))) == []


def test_a_group_that_fails_opens_a_proposal_about_that_group_alone():
    rows = drawn(np.random.default_rng(4), 12, 15, {"f": 0.6, "m": 0.99})
    settings = TriggerSettings(triggers=("fairness",))
    (found,) = found_triggers(live(rows, windows=12), settings)
    assert (found.kind, found.about) == ("fairness", "sex=f")
    assert found.amount > 0.25 and found.figures["group"]["n"] <= 180
    assert "fares worse for sex=f" in found.sentence and "2 groups being watched" in found.sentence
    assert kinds(live(rows, windows=12), TriggerSettings(triggers=("fairness",), attributes=("site",))) == []
    assert kinds(live(rows, windows=12), TriggerSettings(triggers=("fairness",), least_of_group=1000)) == []
    assert kinds(live(rows, windows=12), TriggerSettings(triggers=("fairness",), unfair_from=0.6)) == []


def test_groups_are_compared_in_windows_that_are_over():
    rows = drawn(np.random.default_rng(5), 1, 400, {"f": 0.5, "m": 0.99})
    settings = TriggerSettings(triggers=("fairness",))
    assert kinds(live(rows, windows=0), settings) == []
    assert kinds(live(rows, windows=1), settings) == [("fairness", "sex=f")]


def test_a_group_is_found_also_where_both_groups_never_come_in_one_window():
    rows = [(window, {"sex": "fm"[window % 2]}, window % 2 == 1, 20) for window in range(12)]
    assert kinds(live(rows, windows=12), TriggerSettings(triggers=("fairness",))) == [("fairness", "sex=f")]


def test_shift_opens_a_proposal_and_every_further_process_needs_a_smaller_p_value():
    (found,) = found_triggers(live(windows=1, streams=[stream(1e-5, seen=500, unlike=200)]), SETTINGS)
    assert found.kind == "shift" and found.amount == 0.4
    assert "of 500, 40.0 % (35.8–44.4, n = 500) are unlike, where 5% would be" in found.sentence
    alpha = 0.05 / 3
    assert kinds(live(windows=1, streams=[stream(alpha / 2)])) == [("shift", "")]
    assert kinds(live(windows=1, streams=[stream(alpha / 2 * 1.01)])) == []
    later = [stream(1.0, life=life) for life in range(1, 10)]
    assert kinds(live(windows=1, streams=[*later, stream(alpha / 100, life=10)])) == []
    assert kinds(live(windows=1, streams=[*later, stream(alpha / 111, life=10)])) == [("shift", "")]
    assert kinds(live(windows=1, streams=[stream(1e-9, seen=99)])) == []


def test_what_was_declined_stays_so_until_it_got_materially_worse_since():
    settings, rng = TriggerSettings(triggers=("accuracy",)), np.random.default_rng(6)
    before = drawn(rng, 10, 20, {"f": 0.7, "m": 0.7})
    (found,) = found_triggers(live(before, windows=10), settings)
    declined = {("accuracy", ""): Declined(at=1000 + 10 * 10.0, amount=found.amount)}

    def later(accuracy):
        more = drawn(rng, 20, 20, {"f": accuracy, "m": accuracy})
        return live(before + [(11 + window, *rest) for window, *rest in more], windows=31)

    assert kinds(later(0.7), settings, declined) == []
    assert kinds(later(0.45), settings, declined) == [("accuracy", "")]
    assert kinds(live(before, windows=10), settings, declined) == []


def test_a_declined_group_and_a_declined_shift_stay_declined_until_they_got_worse():
    settings, rng = TriggerSettings(triggers=("fairness",)), np.random.default_rng(7)
    declined = {("fairness", "sex=f"): Declined(at=995.0, amount=0.3), ("shift", ""): Declined(0.0, 0.4, 500, 200)}
    same, worse = (live(drawn(rng, 30, 20, {"f": f, "m": 0.97}), windows=30) for f in (0.67, 0.3))
    assert kinds(same, settings) == [("fairness", "sex=f")] and kinds(same, settings, declined) == []
    assert kinds(worse, settings, declined) == [("fairness", "sex=f")]
    only = TriggerSettings(triggers=("shift",))
    for unlike, opened in ((420, []), (900, [("shift", "")])):
        figures = live(windows=1, streams=[stream(1e-9, seen=1500, unlike=unlike)])
        assert kinds(figures, only, declined) == opened


def ever_opened(rng, windows, accuracies):
    """Whether a proposal is opened at any of many looks."""
    rows = drawn(rng, windows, 8, accuracies)
    return any(
        kinds(live([row for row in rows if row[0] <= now], windows=now + 1)) for now in range(3, windows, 4)
    )  # fmt: skip


def test_nothing_wrong_opens_a_proposal_in_one_of_twenty_lives_at_most_however_often_one_looks():
    # At the worst that is still allowed: accuracy at its bound, groups apart by the margin.
    rng, bound = np.random.default_rng(8), accuracy_bound(live(windows=1), SETTINGS)
    lives = [ever_opened(rng, 24, {"f": bound - 0.049, "m": bound + 0.051}) for _ in range(60)]
    assert sum(lives) <= 5  # of 60; more than 5 where each has one chance in twenty has a probability of 8 %
