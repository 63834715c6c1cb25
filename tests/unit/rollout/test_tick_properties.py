"""Whatever is seen, in whatever order: what a rollout never does."""

import functools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.rollout.looks import READY, counts, in_phase, pairs, small_plan
from vitrail.basics.errors import InputError
from vitrail.rollout.decision import Decision, Moment, route_step
from vitrail.rollout.evidence import Evidence, Exposures, ModelHealth, Signal, Verification
from vitrail.rollout.measuring import is_measured, look_of
from vitrail.rollout.orders import with_order, with_pause, with_resume
from vitrail.rollout.state import RolloutState
from vitrail.rollout.tick import tick

PLAN = small_plan(least_stage_requests=20, least_shadow_seconds=1.0, bake_seconds=5.0)
LOADING, DOWN = ModelHealth("loading", False, "begun anew"), ModelHealth("down", False, "gone")
UNWELL = ModelHealth("ready", False, "it hangs")
PHASES = ("verifying", "loading", "shadow", "stage", "bake", "completed")

FINE = {
    "more": 40, "fewer": 0, "failures": 0, "elapsed": 6.0, "wall": 0.0, "candidate": READY, "stable": READY,
    "unreadable": None, "confirmed": True, "missing": None, "signal": (), "mismatch": False, "order": None,
}  # fmt: skip
TROUBLES = st.one_of(
    st.builds(dict, more=st.integers(0, 60), fewer=st.integers(0, 60)),
    st.builds(dict, failures=st.sampled_from([1, 1, 3, 40])),
    st.builds(dict, elapsed=st.sampled_from([0.0, 30.0, 5000.0, -10.0]), wall=st.sampled_from([-1e9, 1e10])),
    st.builds(
        dict, candidate=st.sampled_from([LOADING, LOADING, LOADING, DOWN]), stable=st.sampled_from([READY, UNWELL])
    ),
    st.builds(dict, stable=st.just(UNWELL), failures=st.sampled_from([0, 0, 0, 40])),
    st.builds(dict, missing=st.sampled_from(["candidate_counts", "control_counts", "pairs", "exposures"])),
    st.builds(dict, unreadable=st.just("gone"), failures=st.sampled_from([0, 0, 0, 40])),
    st.builds(dict, confirmed=st.just(False)),
    st.builds(dict, signal=st.just((Signal("class mix", "other"),))),
    st.builds(dict, mismatch=st.just(True), failures=st.sampled_from([0, 0, 0, 40])),
    st.builds(dict, order=st.sampled_from(["promote", "pause", "resume", "resume"])),
    st.builds(dict, order=st.just("abort"), stable=st.sampled_from([READY, UNWELL])),
)
happenings = st.builds(lambda trouble: {**FINE, **trouble}, st.one_of(*[st.just({})] * 4, TROUBLES))


def evidence_of(happening: dict, ours: int, theirs: int, failed: int) -> Evidence:
    exposures = Exposures(ours, 5 * theirs + 500 if happening["mismatch"] else ours)
    evidence = Evidence(
        candidate=happening["candidate"], stable=happening["stable"], verification=Verification(True, "fine"),
        confirmed=happening["confirmed"], unreadable=happening["unreadable"],
        candidate_counts=counts(ours, failures=failed), control_counts=counts(theirs), pairs=pairs(ours),
        exposures=exposures, signals=happening["signal"],
    )  # fmt: skip
    return evidence if happening["missing"] is None else replace(evidence, **{happening["missing"]: None})


def ordered(state: RolloutState, order: str | None) -> RolloutState:
    try:
        if order in ("promote", "abort"):
            return with_order(PLAN, state, order, by="ada", why="", wall=0.0)
        if order is not None:
            return (with_pause if order == "pause" else with_resume)(PLAN, state, by="ada", why="", wall=0.0)
    except InputError:
        pass
    return state


STARTS = [("verifying", 0), ("shadow", 0), *(("stage", number) for number in range(5)), ("bake", 4)]


@functools.cache
def start(phase: str, stage: int) -> RolloutState:
    return in_phase(PLAN, phase, stage)


def steps(story: tuple[tuple[str, int], list[dict]]) -> list[tuple[RolloutState, Evidence, Decision]]:
    state, taken, ours, theirs, failed = start(*story[0]), [], 0, 0, 0
    for happening in story[1]:
        more = happening["more"]
        ours, theirs = ours + more, theirs + max(0, more - happening["fewer"])
        failed += min(happening["failures"], more)
        state = ordered(state, happening["order"])
        evidence = evidence_of(happening, ours, theirs, failed)
        decision = tick(PLAN, state, evidence, Moment(happening["wall"], happening["elapsed"]))
        taken.append((state, evidence, decision))
        if decision.outcome == "advance":
            ours = theirs = failed = 0
        state = decision.state
    return taken


Story = tuple[tuple[str, int], list[dict]]
stories = st.tuples(st.sampled_from(STARTS), st.lists(happenings, min_size=4, max_size=25))


@settings(max_examples=40, deadline=None)
@given(stories)
def test_it_never_goes_on_without_figures_nor_against_a_check_and_never_passes_a_stage_over(story: Story) -> None:
    for before, evidence, decision in steps(story):
        place = (PHASES.index(before.phase), before.stage) if before.phase in PHASES else None
        if decision.outcome in ("advance", "complete"):
            assert place is not None and before.result is None
            assert evidence.unreadable is None and not evidence.signals
            if is_measured(PLAN, before):
                assert evidence.candidate.state == "ready" and evidence.stable.healthy
                assert look_of(PLAN, before, evidence) is not None and evidence.confirmed
            by_a_person = before.order is not None and before.order.kind == "promote"
            assert before.pause is None or by_a_person
            after = (PHASES.index(decision.state.phase), decision.state.stage)
            shadow_to_stage = (before.phase, decision.state.phase) == ("shadow", "stage")
            assert after[0] - place[0] + after[1] - place[1] == 1 or shadow_to_stage
            assert after > place


@settings(max_examples=40, deadline=None)
@given(stories)
def test_it_never_sends_users_back_to_a_stable_model_that_is_not_well(story: Story) -> None:
    for before, evidence, decision in steps(story):
        if decision.outcome == "abort" and before.phase in ("stage", "bake"):
            assert evidence.stable.healthy and decision.routes == "stable"
        if decision.routes == "stable":
            assert decision.state.result not in (None, "success")


@settings(max_examples=40, deadline=None)
@given(stories)
def test_routes_change_only_with_a_decision_and_what_is_over_stays_over(story: Story) -> None:
    over = False
    for before, _, decision in steps(story):
        assert not over or (decision.outcome, decision.routes) == ("none", None)
        changed = route_step(PLAN, before) != route_step(PLAN, decision.state)
        assert changed == (decision.routes is not None)
        assert not changed or decision.outcome in ("advance", "abort")
        assert bool(decision.sentences)
        over = decision.state.is_over


@settings(max_examples=40, deadline=None)
@given(stories)
def test_a_state_that_was_kept_decides_as_the_one_that_was_not(story: Story) -> None:
    for before, evidence, decision in steps(story):
        kept = RolloutState.from_json(before.as_json())
        assert kept == before
        assert tick(PLAN, kept, evidence, Moment(0.0, 1.0)) == tick(PLAN, before, evidence, Moment(0.0, 1.0))
        assert RolloutState.from_json(decision.state.as_json()) == decision.state


@settings(max_examples=40, deadline=None)
@given(stories)
def test_a_paused_rollout_still_measures_what_comes(story: Story) -> None:
    for before, evidence, decision in steps(story):
        fine = look_of(PLAN, before, evidence) is not None and evidence.unreadable is None and evidence.confirmed
        if before.pause is not None and before.phase in ("shadow", "stage") and fine and decision.outcome == "wait":
            assert evidence.candidate_counts is not None
            assert decision.state.looked.candidate.requests == evidence.candidate_counts.requests
