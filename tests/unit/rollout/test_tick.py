"""Every transition of a rollout, and which of two troubles wins."""

import json
from dataclasses import replace

import pytest

from tests.unit.rollout.looks import (
    begun,
    counts,
    driven,
    in_phase,
    look,
    pairs,
    small_plan,
    ticked,
    unwell,
    warmed,
)
from vitrail.rollout.evidence import Exposures, ModelHealth, Signal, Verification
from vitrail.rollout.orders import with_order, with_pause, with_resume
from vitrail.rollout.plan import Stage
from vitrail.rollout.state import RolloutState, title_of

PLAN = small_plan()
CRASHING = replace(look(400), candidate=ModelHealth("ready", False, "killed by the system", crashes=2))
MISMATCH = Exposures(candidate=1000, control=2000)


def test_a_candidate_that_is_as_good_goes_through_every_phase_in_order_to_everybody() -> None:
    state, seen, n, routes = begun(PLAN), [], 0, []
    while not state.is_over:
        n += 100
        decision = ticked(PLAN, state, look(n))
        if decision.outcome != "wait":
            seen.append((title_of(PLAN, state), decision.outcome))
            n = 0
        routes += [decision.routes] if decision.routes else []
        state = decision.state
    assert state.result == "success"
    assert seen == [
        ("verifying", "advance"), ("loading", "advance"), ("shadow", "advance"), ("canary", "advance"),
        ("stage 10", "advance"), ("stage 25", "advance"), ("stage 50", "advance"), ("stage 100", "advance"),
        ("bake", "complete"),
    ]  # fmt: skip
    assert routes == ["loaded", "shadow", "split", "split", "split", "split", "promoted"]
    assert [record.where for record in state.decisions] == [title for title, _ in seen]


def test_the_same_values_always_give_the_same_decision_and_change_nothing() -> None:
    state, evidence = warmed(PLAN, in_phase(PLAN, "stage", 1)), look(250, failing=3)
    before = json.dumps(state.as_json())
    assert ticked(PLAN, state, evidence) == ticked(PLAN, state, evidence)
    assert json.dumps(state.as_json()) == before


def test_a_package_that_is_not_what_it_says_is_rejected() -> None:
    evidence = replace(look(0), verification=Verification(False, "weights.safetensors is not what was hashed"))
    decision = ticked(PLAN, begun(PLAN), evidence)
    assert (decision.outcome, decision.state.result, decision.routes) == ("abort", "rejected", None)
    assert decision.sentences == ("verifying: weights.safetensors is not what was hashed",)
    waiting = ticked(PLAN, begun(PLAN), replace(look(0), verification=None))
    assert waiting.outcome == "wait" and waiting.state.waiting == ("the package is being verified",)


def test_a_candidate_that_does_not_load_is_rejected_and_stable_is_not_touched() -> None:
    state = in_phase(PLAN, "loading")
    loading = replace(look(0), candidate=ModelHealth("loading", False, "reading weights"))
    assert ticked(PLAN, state, loading).state.waiting == ("the candidate does not answer yet: reading weights",)
    late = ticked(PLAN, state, loading, elapsed=100.0)
    assert late.state.result == "rejected" and late.routes == "stable"
    assert late.sentences == ("loading: the candidate did not answer within 100 s: reading weights",)
    down = replace(loading, candidate=ModelHealth("down", False, "out of memory"), stable=unwell())
    assert ticked(PLAN, state, down).state.result == "rejected"  # nobody has to move
    unconfirmed = replace(look(0), confirmed=False)
    assert ticked(PLAN, state, unconfirmed).outcome == "wait"


@pytest.mark.parametrize(
    ("stage", "result"), [(0, "canary_failed"), (2, "rollout_failed_at_25"), (4, "rollout_failed_at_100")]
)
def test_a_process_that_keeps_ending_is_stopped_at_once_wherever_it_is(stage: int, result: str) -> None:
    decision = ticked(PLAN, in_phase(PLAN, "stage", stage), CRASHING)
    assert (decision.outcome, decision.state.result, decision.routes) == ("abort", result, "stable")
    assert decision.state.phase == "rolled back"
    assert decision.sentences == ("hard limit: the candidate's process ended 2 times: killed by the system",)


def test_a_burst_of_failures_is_stopped_even_in_the_warm_up_and_while_baking() -> None:
    failing = look(30, failing=10)
    assert ticked(PLAN, in_phase(PLAN, "stage"), failing, elapsed=0.1).state.result == "canary_failed"
    long_well = ticked(PLAN, warmed(PLAN, in_phase(PLAN, "stage")), look(150)).state
    burst = ticked(PLAN, long_well, replace(look(190, failing=15), control_counts=counts(190, failures=15)))
    assert burst.sentences[0].startswith(
        "hard limit: 15 of 40 requests to the candidate failed since the last look; from"
    )
    assert ticked(PLAN, in_phase(PLAN, "bake", 4), failing).state.result == "rollout_failed_at_bake"
    few = look(9, failing=9)
    assert ticked(PLAN, in_phase(PLAN, "stage"), few, elapsed=0.1).outcome == "wait"


def test_an_answer_time_above_the_limit_is_stopped() -> None:
    plan = small_plan(most_p99_seconds=0.1)
    slow = replace(look(200), candidate_counts=counts(200))
    said = ticked(plan, in_phase(plan, "stage"), slow).sentences
    assert said == ("hard limit: one of 100 answers took longer than 202 ms; limit 100 ms",)
    assert ticked(plan, in_phase(plan, "shadow"), slow).outcome != "abort"  # copies wait for a quiet moment


def test_failures_above_those_of_the_control_are_stopped_with_the_numbers_of_both_arms() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    decision = ticked(PLAN, state, look(600, failing=60, control_failing=1))
    assert decision.state.result == "canary_failed"
    assert decision.sentences[0].startswith(
        "failures: 60 of 500 of the candidate failed, 1 of 500 of the control: more than 0.2 % above it; p = "
    )
    assert ticked(PLAN, state, look(600, failing=60, control_failing=60)).outcome == "advance"


def test_an_arm_that_is_three_times_as_slow_is_stopped_by_the_95th_percentile_of_the_warm_up() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    decision = ticked(PLAN, state, replace(look(300), candidate_counts=counts(300, slow_share=0.6)))
    assert decision.state.result == "canary_failed"
    assert decision.sentences[0].startswith(
        "slow answers: 175 of 200 of the candidate were slow (above 19.9 ms), 10 of 200 of the control: "
    )


def test_what_is_slow_is_told_by_the_control_of_the_warm_up_and_stands_for_the_stage() -> None:
    state = in_phase(PLAN, "stage")
    begun_so = replace(look(100), control_counts=counts(100, slow_share=0.1))
    warm = ticked(PLAN, state, begun_so).state
    assert warm.slow_seconds == pytest.approx(0.2, rel=0.02)  # 90 of 100 are below, 95 are not
    later = ticked(PLAN, warm, replace(look(140), control_counts=counts(140, slow_share=0.3))).state
    assert later.slow_seconds == warm.slow_seconds
    few = ticked(PLAN, state, look(30)).state
    assert few.warm is None and ticked(PLAN, few, look(60)).state.warm is not None


def test_copies_that_are_answered_late_stop_nothing_but_copies_that_fail_do() -> None:
    state = ticked(PLAN, in_phase(PLAN, "shadow"), look(40)).state
    late = replace(look(300), candidate_counts=counts(300, slow_share=0.6))
    assert ticked(PLAN, state, late).outcome == "advance"
    failing = ticked(PLAN, state, look(300, failing=30))
    assert failing.state.result == "rejected" and failing.sentences[0].startswith(
        "failures: 30 of 260 of the candidate"
    )


def test_guardrails_begin_afresh_with_every_compared_phase() -> None:
    running = [
        in_phase(PLAN, *where).tests["failures"].running for where in (("shadow", 0), ("stage", 0), ("stage", 3))
    ]
    assert running == [1, 2, 5] and len(in_phase(PLAN, "stage", 3).tests["failures"].log_capitals) == 5


def test_wrong_answers_that_users_report_are_compared_with_those_of_the_control() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 1))
    worse = replace(
        look(400), candidate_counts=counts(400, judged=300, wrong=120), control_counts=counts(400, judged=300, wrong=20)
    )
    assert "120 of 300 of the candidate were wrong" in ticked(PLAN, state, worse).sentences[0]


def test_permuted_labels_are_found_in_the_shadow_without_any_truth_and_nobody_has_seen_an_answer() -> None:
    state = in_phase(PLAN, "shadow")
    decision = ticked(PLAN, state, replace(look(60), pairs=pairs(60, agree=0.1)))
    assert (decision.state.result, decision.routes) == ("rejected", "stable")
    assert decision.sentences[0].startswith(
        "shadow answers: the candidate agrees with the stable model on 6 of 60 images; 60 % are needed; p = "
    )


def test_a_class_that_is_lost_is_found_in_the_shadow_although_all_others_agree() -> None:
    found = pairs(1000, agree=0.95)
    by_class = {**found.by_class, "bees": replace(found.by_class["bees"], pairs=60, agree=4)}
    evidence = replace(look(1000), pairs=replace(found, pairs=1060, agree=954, by_class=by_class))
    decision = ticked(PLAN, in_phase(PLAN, "shadow"), evidence)
    assert "where the stable model says bees, the candidate agrees on 4 of 60" in decision.sentences[0]


def test_accuracy_that_falls_in_paired_answers_is_found_and_such_that_is_not_shown_to_hold_makes_it_wait() -> None:
    state = in_phase(PLAN, "shadow")
    worse = replace(look(400), pairs=pairs(400, judged=400, fixed=5, broken=60))
    assert ticked(PLAN, state, worse).state.result == "rejected"
    unclear = replace(look(400), pairs=pairs(400, judged=60, fixed=1, broken=2))
    warm = ticked(PLAN, state, unclear).state
    waiting = ticked(PLAN, warm, replace(unclear, candidate_counts=counts(500), control_counts=counts(500)))
    assert waiting.outcome == "wait" and "that accuracy falls by at most 2 % is not shown yet" in waiting.sentences[-1]
    needed = small_plan(may_be_missing=("users",))
    warm = ticked(needed, in_phase(PLAN, "shadow"), look(400)).state
    assert "is not shown yet: undefined" in ticked(needed, warm, look(500)).sentences[-1]


def test_after_everybody_has_it_failures_are_compared_with_what_the_control_did_before() -> None:
    state = in_phase(PLAN, "bake", 4)
    state = ticked(PLAN, state, look(100)).state
    decision = ticked(PLAN, state, look(1100, failing=150))
    assert decision.state.result == "rollout_failed_at_bake" and decision.routes == "stable"
    assert decision.sentences[0].startswith("bake failures: 150 of 1,000 requests failed since everybody has")


# Which of two troubles wins.


def test_a_crashing_canary_that_loses_its_users_is_stopped_and_not_paused_for_the_mismatch() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 1))
    assert ticked(PLAN, state, replace(CRASHING, exposures=MISMATCH)).outcome == "abort"
    failing = replace(look(600, failing=60), exposures=MISMATCH)
    assert ticked(PLAN, state, failing).outcome == "abort"
    paused = ticked(PLAN, state, replace(look(600), exposures=MISMATCH))
    assert paused.outcome == "pause" and paused.state.pause is not None and paused.state.pause.gate == "sample ratio"


def test_a_crash_is_acted_on_although_figures_cannot_be_read_or_an_alarm_rings() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 1))
    blind = replace(CRASHING, unreadable="the database is gone", candidate_counts=None, control_counts=None)
    assert ticked(PLAN, state, blind).outcome == "abort"
    assert ticked(PLAN, state, replace(CRASHING, signals=(Signal("class mix", "other"),))).outcome == "abort"


def test_missing_figures_win_over_a_signal_and_a_signal_over_least_time() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 1))
    signal = (Signal("class mix", "bees became twice as frequent"),)
    missing = ticked(PLAN, state, replace(look(300), candidate_counts=None, signals=signal))
    assert missing.state.unmeasured == 1 and missing.sentences[0].startswith(
        "cannot measure: figures of an arm are missing"
    )
    held = ticked(PLAN, state, replace(look(300), signals=signal), elapsed=100.0)
    assert held.outcome == "wait" and held.sentences == ("class mix: bees became twice as frequent",)
    assert ticked(PLAN, held.state, look(400)).outcome == "advance"  # it ends by itself


def test_a_persons_abort_wins_over_everything_and_needs_a_healthy_stable_as_well() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 1))
    ordered = with_order(PLAN, state, "abort", by="ada", why="I do not like it", wall=5.0)
    stopped = ticked(PLAN, ordered, replace(look(300), unreadable="gone"))
    assert stopped.sentences == ("order: ada ordered an abort: I do not like it",)
    assert stopped.state.result == "rollout_failed_at_10"
    assert ticked(PLAN, ordered, replace(look(300), stable=unwell())).outcome == "halt"


# Halting.


@pytest.mark.parametrize("phase", [("stage", 0), ("stage", 4), ("bake", 4)])
def test_nobody_is_sent_back_to_a_stable_model_that_is_not_well_until_it_is(phase: tuple[str, int]) -> None:
    state = in_phase(PLAN, *phase)
    halted = ticked(PLAN, state, replace(CRASHING, stable=unwell("its process hangs")))
    assert (halted.outcome, halted.routes, halted.state.result) == ("halt", None, None)
    assert halted.state.pause is not None and halted.state.pause.kind == "halted"
    assert halted.sentences[0].endswith("users cannot return: the stable model is not well: its process hangs")
    still = ticked(PLAN, halted.state, replace(look(500), stable=unwell("its process hangs")))
    assert still.outcome == "wait" and still.routes is None
    back = ticked(PLAN, still.state, look(500))
    assert back.outcome == "abort" and back.routes == "stable" and "hard limit" in back.sentences[0]


# Missing data.


def test_no_data_is_a_failed_check_and_four_of_them_pause_for_a_person() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    outcomes = []
    for _ in range(8):
        decision = ticked(PLAN, state, look(100), elapsed=20.0)
        state, outcomes = decision.state, [*outcomes, decision.outcome]
    assert outcomes == ["wait"] * 5 + ["pause", "wait", "wait"]
    assert state.pause is not None and state.pause.kind == "cannot measure"
    assert "no data is a failed check (" in state.pause.sentence


@pytest.mark.parametrize("change", [
    {"unreadable": "the database is silent"}, {"candidate_counts": None}, {"control_counts": None},
    {"candidate_counts": counts(50)}, {"control_counts": replace(counts(300), failures=301)},
])  # fmt: skip
def test_figures_that_are_missing_became_fewer_or_contradict_themselves_never_let_it_go_on(change: dict) -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    for check in range(1, 5):
        decision = ticked(PLAN, state, replace(look(300), **change), elapsed=500.0)
        state = decision.state
        assert decision.outcome == ("pause" if check == 4 else "wait") and state.stage == 0
    well_again = ticked(PLAN, with_resume(PLAN, state, by="ada", why="repaired", wall=1.0), look(400))
    assert well_again.state.unmeasured == 0 and well_again.state.pause is None


def test_figures_that_lost_some_failures_are_not_believed() -> None:
    state = ticked(PLAN, in_phase(PLAN, "stage"), look(100, failing=5)).state
    assert ticked(PLAN, state, replace(look(300), candidate_counts=counts(99, failures=4))).state.unmeasured == 1


def test_a_good_look_forgets_failed_checks_and_the_frozen_time_is_not_counted() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    away = replace(look(300), unreadable="gone")
    for _ in range(3):
        state = ticked(PLAN, state, away, elapsed=1000.0).state
    assert (state.unmeasured, state.seconds) == (3, 5.0)
    assert ticked(PLAN, state, look(150)).state.unmeasured == 0


def test_users_that_nobody_counts_are_a_failed_check_only_where_they_may_not_be_missing() -> None:
    strict = small_plan(may_be_missing=("truth",))
    evidence = replace(look(300), exposures=None)
    assert ticked(PLAN, warmed(PLAN, in_phase(PLAN, "stage")), evidence).state.unmeasured == 0
    assert ticked(strict, warmed(PLAN, in_phase(PLAN, "stage")), evidence).state.unmeasured == 1


def test_users_in_two_arms_pause_it_and_a_person_may_set_that_aside() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    evidence = replace(look(300), exposures=Exposures(300, 300, seen_in_two=20))
    paused = ticked(PLAN, state, evidence, elapsed=50.0).state
    assert paused.pause is not None
    assert paused.pause.sentence == "20 of 600 users were seen in more than one arm; at most 1 % may be"
    went_on = with_resume(PLAN, paused, by="ada", why="they have two accounts", wall=9.0)
    again = replace(look(400), exposures=Exposures(400, 400, seen_in_two=30))
    assert ticked(PLAN, went_on, again).outcome == "advance"


# Waiting, pausing, prolonging.


def test_it_waits_for_least_time_requests_and_looks_and_says_so() -> None:
    plan = small_plan(least_looks=3)  # one more than there are
    state = warmed(plan, in_phase(plan, "stage"))
    assert ticked(plan, state, look(150), elapsed=1.0).sentences == (
        "it lasts 6 s of at least 10 s",
        "the candidate was asked 50 times since the warm-up; 100 are needed",
        "the control was asked 50 times since the warm-up; 100 are needed",
        "new figures came 1 times; 3 are needed",
    )


def test_a_stage_that_has_not_passed_in_all_its_time_pauses_and_never_goes_on_by_itself() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    decision = ticked(PLAN, state, look(110), elapsed=1000.0)
    assert decision.outcome == "pause" and decision.state.pause is not None
    assert decision.state.pause.kind == "inconclusive"
    late = ticked(PLAN, decision.state, look(5000), elapsed=50.0)
    assert late.outcome == "wait" and late.state.stage == 0
    resumed = with_resume(PLAN, decision.state, by="ada", why="give it time", wall=3.0)
    assert ticked(PLAN, resumed, look(120), elapsed=500.0).outcome == "wait"
    assert ticked(PLAN, resumed, look(120), elapsed=1100.0).outcome == "pause"
    promoted = with_order(PLAN, decision.state, "promote", by="ada", why="enough", wall=3.0)
    went_on = ticked(PLAN, promoted, look(120))
    assert went_on.outcome == "advance" and went_on.sentences[0] == "ada ordered to go on: enough"


def test_a_suspicion_is_no_reason_to_stop_and_none_to_go_on() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    decision = ticked(PLAN, state, look(300, failing=8), elapsed=50.0)
    assert decision.outcome == "wait" and decision.sentences[0].startswith("failures: p = 0.")
    assert "is no reason to stop, and none to go on" in decision.sentences[0]


def test_before_everybody_has_it_that_it_is_not_worse_must_be_shown() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage", 3))
    decision = ticked(PLAN, state, look(230, failing=4, control_failing=4), elapsed=50.0)
    assert decision.outcome == "wait"
    assert decision.sentences[0].startswith("that the candidate fails at most 1 % more often is not shown yet: p = ")
    assert ticked(PLAN, decision.state, look(1500, failing=5, control_failing=5)).routes == "promoted"


def test_a_paused_rollout_goes_on_measuring_and_is_still_stopped() -> None:
    state = with_pause(PLAN, warmed(PLAN, in_phase(PLAN, "stage", 1)), by="ada", why="lunch", wall=7.0)
    quiet = ticked(PLAN, state, look(500), elapsed=500.0)
    assert quiet.outcome == "wait" and quiet.state.measured.candidate.requests == 400
    assert quiet.sentences[0] == "paused (person): ada paused it: lunch"
    assert ticked(PLAN, quiet.state, look(900, failing=100)).outcome == "abort"
    resumed = with_resume(PLAN, quiet.state, by="ada", why="", wall=8.0)
    assert ticked(PLAN, resumed, look(600)).outcome == "advance"


def test_a_stage_that_needs_agreement_waits_for_it() -> None:
    stages = (Stage(name="canary", percent=5.0), Stage(name="all", percent=100.0, ask_before=True))
    plan = small_plan(stages=stages)
    state = driven(plan, begun(plan), until=lambda state: state.pause is not None)
    assert state.pause is not None and state.pause.kind == "approval"
    assert state.pause.sentence == "stage all waits until somebody agrees"
    agreed = with_order(plan, state, "promote", by="ada", why="looks fine", wall=1.0)
    n = state.looked.candidate.requests + 50
    assert ticked(plan, agreed, look(n)).routes == "promoted"
    worse = ticked(plan, agreed, look(n, failing=40))
    assert worse.outcome == "abort"


def test_an_order_to_go_on_is_not_followed_while_a_check_is_against_it_and_that_is_said() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    ordered = with_order(PLAN, state, "promote", by="ada", why="", wall=1.0)
    decision = ticked(PLAN, ordered, replace(look(300), candidate_counts=None))
    assert decision.outcome == "wait" and decision.state.order is None
    assert decision.sentences[0].endswith("ada ordered to promote, which is not done: figures")


def test_it_waits_until_every_server_serves_by_the_new_routes_and_counts_no_time_until_then() -> None:
    state = in_phase(PLAN, "stage")
    decision = ticked(PLAN, state, replace(look(100), confirmed=False), elapsed=900.0)
    assert decision.sentences == ("routes: not every server serves by the new routes yet",)
    assert (decision.state.seconds, decision.state.counting_since) == (0.0, None)
    assert ticked(PLAN, decision.state, look(100), wall=77.0).state.counting_since == 77.0


def test_a_stable_model_that_is_not_well_holds_it_there_is_nothing_to_compare_with() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    decision = ticked(PLAN, state, replace(look(300), stable=unwell("its process hangs")), elapsed=50.0)
    assert decision.sentences == ("stable model: the stable model is not well: its process hangs",)
    assert decision.state.stage == 0
    ejected = ticked(PLAN, state, replace(look(300), candidate=unwell("its breaker is open")), elapsed=50.0)
    assert ejected.sentences == ("candidate: the candidate is not well: its breaker is open",)


def test_a_candidate_that_is_begun_anew_holds_it_and_if_that_takes_too_long_it_is_stopped() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    evidence = replace(look(300), candidate=ModelHealth("loading", False, "it was killed", crashes=1))
    seen = ticked(PLAN, state, evidence, elapsed=7200.0).state  # nobody looked: it may have been well until now
    assert seen.unwell_seconds == 0 and not seen.is_over
    assert ticked(PLAN, seen, evidence, elapsed=61.0).sentences == (
        "hard limit: the candidate is not well for 61 s: it was killed",
    )
    assert ticked(PLAN, state, evidence, elapsed=50.0).sentences == (
        "candidate: the candidate is begun anew: it was killed",
    )
    patient = small_plan(most_unwell_seconds=5000.0)
    ended = ticked(patient, state, replace(evidence, candidate_counts=counts(110)), elapsed=1000.0)
    assert ended.outcome == "pause" and ended.state.pause is not None and ended.state.pause.kind == "inconclusive"


# Clocks.


@pytest.mark.parametrize("wall", [-3600.0, 0.0, 1e10])
def test_a_wall_clock_that_is_set_changes_nothing_but_what_people_read(wall: float) -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    usual, odd = ticked(PLAN, state, look(300)), ticked(PLAN, state, look(300), wall=wall)
    assert (usual.outcome, usual.sentences, usual.state.tests) == (odd.outcome, odd.sentences, odd.state.tests)
    assert usual.state.seconds == odd.state.seconds


@pytest.mark.parametrize("elapsed", [-5.0, float("nan"), float("inf")])
def test_elapsed_time_that_is_none_counts_as_none(elapsed: float) -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    assert ticked(PLAN, state, look(300), elapsed=elapsed).state.seconds == state.seconds


def test_however_long_nobody_looked_one_stage_is_left_at_a_time_and_each_is_measured() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    for stage in (1, 2):
        decision = ticked(PLAN, state, look(300), elapsed=900.0)
        assert (decision.outcome, decision.state.stage, decision.state.seconds) == ("advance", stage, 0.0)
        state = warmed(PLAN, decision.state)


def test_a_rollout_that_is_over_stays_over() -> None:
    over = ticked(PLAN, in_phase(PLAN, "stage"), CRASHING).state
    decision = ticked(PLAN, over, look(500))
    assert (decision.outcome, decision.state, decision.routes) == ("none", over, None)


def test_no_shadow_is_passed_over_where_there_is_none() -> None:
    plan = small_plan(shadow_share=0.0)
    assert ticked(plan, in_phase(plan, "loading"), look(0)).state == in_phase(plan, "stage")
    assert RolloutState.from_json(in_phase(plan, "stage").as_json()) == in_phase(plan, "stage")
