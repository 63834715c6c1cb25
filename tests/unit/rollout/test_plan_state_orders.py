"""Plans that would let everything pass are refused; states survive a file; orders that make no sense are not taken."""

import json

import pytest

from tests.unit.rollout.looks import begun, in_phase, look, small_plan, ticked, warmed
from vitrail.basics.errors import DamagedError, InputError, SettingsError
from vitrail.rollout.evidence import ModelHealth
from vitrail.rollout.orders import possible_orders, with_order, with_pause, with_resume
from vitrail.rollout.plan import RolloutSettings, Stage
from vitrail.rollout.state import RolloutState

PLAN = small_plan()


def stages(**percents: float) -> tuple[Stage, ...]:
    return tuple(Stage(name=name, percent=percent) for name, percent in percents.items())


def test_the_stages_are_those_of_the_article_after_a_canary_of_five_percent() -> None:
    plan = RolloutSettings()
    assert [(stage.name, stage.percent) for stage in plan.stages] == [
        ("canary", 5), ("10", 10), ("25", 25), ("50", 50), ("100", 100)
    ]  # fmt: skip
    assert sum(plan.guardrails.alpha_parts.values()) == pytest.approx(1)
    assert plan.runs == 5 and plan.alpha_of("failures") == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stages": stages(canary=5.0, half=50.0)}, "stages of a rollout are canary 5 %, half 50 %\nhint: percentages"),
        ({"stages": stages(canary=50.0, half=5.0, all=100.0)}, "percentages grow, the last is 100"),
        ({"stages": stages(canary=5.0, most=80.0, all=100.0)}, "up to 50, because as many users are the control"),
        ({"stages": stages(all=100.0)}, "whose only stage is for everybody compares nothing\nhint: give it a"),
        ({"alpha_parts": {"slow answers": 1.0}}, "without a guardrail on failures would let everything pass\nhint"),
        ({"alpha_parts": {"failures": 0.9, "slow answers": 0.5}}, "the parts of alpha add up to 1.4\nhint: 1 at most"),
    ],
)  # fmt: skip
def test_a_plan_that_compares_nothing_or_contradicts_itself_is_refused(values: dict, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        RolloutSettings.gather(**values)


def test_stages_may_be_given_as_percentages_by_name_as_a_file_has_them() -> None:
    plan = RolloutSettings.gather(stages={"all": 100, "canary": 1, 10: 10})  # a mapping has no order of its own
    assert [(stage.name, stage.percent) for stage in plan.stages] == [("canary", 1), ("10", 10), ("all", 100)]
    with pytest.raises(InputError, match=r"stages: Input should be a valid number.*, got .few."):
        RolloutSettings.gather(stages={"canary": "few", "all": 100})


def test_an_unknown_setting_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting 'bake_second' - did you mean bake_seconds"):
        RolloutSettings.gather(bake_second=3.0)


def test_a_state_survives_a_file_and_one_that_was_changed_is_refused() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 2))
    kept = json.loads(json.dumps(state.as_json()))
    assert RolloutState.from_json(kept) == state
    with pytest.raises(DamagedError, match=r"^the state of a rollout cannot be read: phase: Input should be"):
        RolloutState.from_json({**kept, "phase": "dancing"})
    with pytest.raises(DamagedError, match="it was changed by something else than Vitrail, or written by a newer one"):
        RolloutState.from_json({**kept, "later": 1})
    with pytest.raises(DamagedError, match="seconds"):
        RolloutState.from_json({**kept, "seconds": float("nan")})


def test_a_state_is_small_and_its_size_does_not_grow_with_the_traffic() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 3))
    assert len(json.dumps(state.as_json())) < 60_000
    assert len(json.dumps(ticked(PLAN, state, look(1_000_000)).state.as_json())) < 60_000


def test_orders_are_recorded_with_who_gave_them() -> None:
    state = with_pause(PLAN, in_phase(PLAN, "stage"), by="ada", why="lunch", wall=7.0)
    state = with_resume(PLAN, state, by="bo", why="", wall=8.0)
    state = with_order(PLAN, state, "promote", by="ada", why="fine", wall=9.0)
    said = [(record.at, record.where, record.outcome, record.sentences) for record in state.decisions[-3:]]
    assert said == [
        (7.0, "canary", "pause", ("ada paused it: lunch",)), (8.0, "canary", "resume", ("bo resumed it: no reason",)),
        (9.0, "canary", "order", ("ada ordered to promote: fine",)),
    ]  # fmt: skip


def test_orders_that_make_no_sense_are_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"^the rollout is not paused\nhint: `status` tells"):
        with_resume(PLAN, begun(PLAN), by="ada", why="", wall=1.0)
    with pytest.raises(InputError, match=r"^the rollout is verifying: nothing is to be promoted yet\nhint: wait until"):
        with_order(PLAN, begun(PLAN), "promote", by="ada", why="", wall=1.0)
    gone = look(0)
    crashed = ModelHealth("down", False, "gone")
    over = ticked(PLAN, in_phase(PLAN, "loading"), type(gone)(candidate=crashed, stable=gone.stable)).state
    with pytest.raises(InputError, match=r"^the rollout is over: rejected\nhint: start another one"):
        with_order(PLAN, over, "abort", by="ada", why="", wall=1.0)
    asking = small_plan(stages=(Stage(name="canary", percent=5.0), Stage(name="all", percent=100.0, ask_before=True)))
    state, n = in_phase(asking, "stage"), 0
    while state.pause is None:
        n += 100
        state = ticked(asking, state, look(n)).state
    with pytest.raises(InputError, match=r"^stage all waits until somebody agrees\nhint: agree with `promote`"):
        with_resume(asking, state, by="ada", why="", wall=1.0)


def test_an_abort_that_waits_for_the_next_look_is_not_taken_back_by_a_promotion() -> None:
    state = with_order(PLAN, in_phase(PLAN, "stage"), "abort", by="Ada", why="wrong ward", wall=1.0)
    said = "Ada has ordered to abort it, which comes first\nhint: `status` tells its end"
    for kind in ("promote", "abort"):
        with pytest.raises(InputError, match=said):
            with_order(PLAN, state, kind, by="Bob", why="looks fine", wall=2.0)
    assert possible_orders(state) == ("pause",)
