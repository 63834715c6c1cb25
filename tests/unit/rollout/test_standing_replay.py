"""What people are told of a rollout, and what it would have decided."""

import json
from dataclasses import replace

import pytest

from tests.unit.rollout.looks import begun, counts, in_phase, look, pairs, small_plan, ticked, warmed
from vitrail.basics.errors import DamagedError
from vitrail.rollout.decision import Moment
from vitrail.rollout.evidence import Evidence
from vitrail.rollout.replay import replayed
from vitrail.rollout.standing import gate_figures, rollout_standing

PLAN = small_plan()


def test_every_gate_of_a_stage_stands_with_its_difference_its_limits_and_its_verdict() -> None:
    state = warmed(PLAN, in_phase(PLAN, "stage"))
    evidence = look(300, failing=8)
    state = ticked(PLAN, state, evidence).state
    found = {each.gate: each for each in gate_figures(PLAN, state, evidence)}
    assert set(found) == {
        "failures", "slow answers", "wrong answers", "no more failures", "no more slow answers"
    }  # fmt: skip
    failures = found["failures"]
    assert failures.measure.value == pytest.approx(0.04) and failures.verdict == "suspicious"
    assert failures.measure.low is not None and failures.measure.high is not None
    assert failures.measure.low < 0.04 < failures.measure.high
    assert found["slow answers"].verdict == "fine" and found["wrong answers"].verdict == "not measured"
    assert found["no more failures"].verdict == "not shown yet"


def test_the_gates_of_a_shadow_are_accuracy_and_agreement_of_pairs() -> None:
    evidence = replace(look(900), pairs=pairs(900, judged=900, fixed=5, broken=5))
    found = {each.gate: each for each in gate_figures(PLAN, in_phase(PLAN, "shadow"), evidence)}
    assert found["accuracy in pairs"].verdict == "shown" and found["agreement in pairs"].verdict == "fine"
    assert found["agreement in pairs"].measure.text().startswith("95.0 % (9")
    few = {each.gate: each for each in gate_figures(PLAN, in_phase(PLAN, "shadow"), look(900))}
    assert few["accuracy in pairs"].verdict == "not measured"


def test_all_that_is_told_is_plain_json_and_says_what_is_waited_for() -> None:
    state = ticked(PLAN, warmed(PLAN, in_phase(PLAN, "stage", 1)), look(120), elapsed=1.0).state
    told = json.loads(json.dumps(rollout_standing(PLAN, state, look(120))))
    assert (told["title"], told["routes"], told["share"], told["paused"]) == ("stage 10", "split", 0.1, None)
    assert told["waiting"][0] == "it lasts 6 s of at least 10 s" and len(told["gates"]) == 5
    assert [each["where"] for each in told["decisions"]] == ["verifying", "loading", "shadow", "canary"]
    assert rollout_standing(PLAN, begun(PLAN), None)["gates"] == []


def test_evidence_that_was_recorded_is_read_again_and_what_was_changed_is_refused() -> None:
    evidence = replace(look(30), candidate_counts=counts(30, failures=2, judged=4, wrong=1))
    assert Evidence.from_json(json.loads(json.dumps(evidence.as_json()))) == evidence
    with pytest.raises(DamagedError, match=r"^the evidence of a rollout cannot be read: candidate: Field required"):
        Evidence.from_json({"stable": evidence.as_json()["stable"]})


def test_recorded_looks_lead_to_the_decisions_that_were_taken_and_a_stricter_plan_to_another() -> None:
    state, recorded, taken, n = begun(PLAN), [], [], 0
    while not state.is_over:
        n += 100
        evidence, moment = look(n, failing=n // 50, control_failing=n // 60), Moment(wall=5.0, elapsed=5.0)
        decision = ticked(PLAN, state, evidence, elapsed=5.0, wall=5.0)
        recorded, taken = [*recorded, (evidence, moment)], [*taken, decision]
        n, state = (0 if decision.outcome == "advance" else n), decision.state
    assert list(replayed(PLAN, begun(PLAN), recorded)) == taken and state.result == "success"
    strict = small_plan(most_failure_share=0.019, least_limit_failures=2)
    assert [*replayed(strict, begun(strict), recorded)][-1].state.result == "rejected"
