"""What a look adds to a state: time that passed, requests that came, and the tests that these move."""

import math
from dataclasses import replace

from vitrail.measures.anytime_counts import Block, RateTest
from vitrail.monitoring.latency import bucket_of, quantile
from vitrail.rollout.evidence import ArmCounts, Evidence
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.state import ARM_NUMBERS, ArmLook, Look, RolloutState, TestName

LEAST_TIMED = 50
"""Answers of the control from which its 95th percentile is taken."""
SLOW_PERCENT = 95


def is_compared(plan: RolloutSettings, state: RolloutState) -> bool:
    """Whether a control, or for a shadow the stable arm, is beside the candidate in this phase."""
    return state.phase == "shadow" or (state.phase == "stage" and state.stage < plan.compared_stages)


def has_everybody(plan: RolloutSettings, state: RolloutState) -> bool:
    """Whether all users have the candidate in this phase."""
    return state.phase == "bake" or (state.phase == "stage" and state.stage >= plan.compared_stages)


def is_measured(plan: RolloutSettings, state: RolloutState) -> bool:
    """Whether the candidate answers requests in this phase."""
    return is_compared(plan, state) or has_everybody(plan, state)


def after_look(plan: RolloutSettings, state: RolloutState, evidence: Evidence, *, elapsed: float) -> RolloutState:
    """The state after a look; counts that are missing or impossible move nothing, and their time is not counted.

    Args:
        plan: of the rollout.
        state: before.
        evidence: of this look.
        elapsed: seconds since the last look.
    """
    health = evidence.candidate
    is_well = health.state == "ready" and health.healthy
    before = state.unwell_seconds
    unwell = None if is_well or not is_measured(plan, state) else 0.0 if before is None else before + elapsed
    if evidence.unreadable is not None or health.is_new:  # which is no fault of the candidate
        unwell = before
    state = replace(state, unwell_seconds=unwell, came=Look())
    if evidence.unreadable is not None or (is_measured(plan, state) and not evidence.confirmed):
        return state
    now = look_of(plan, state, evidence) if is_measured(plan, state) else Look()
    if now is None:
        return state
    state = replace(state, seconds=state.seconds + elapsed)
    if not is_measured(plan, state):
        return state
    came = now.since(state.looked)
    state = replace(state, came=came)
    both = came.candidate.requests > 0 and (came.control.requests > 0 or has_everybody(plan, state))
    state = replace(state, quiet_seconds=0.0 if both else state.quiet_seconds + elapsed)
    if state.warm is None:
        return _warming(plan, state, evidence, now)
    state = replace(state, looked=now, looks=state.looks + both)
    return _tested(plan, state, came) if is_compared(plan, state) else state


def look_of(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Look | None:
    """The counts of both arms; None where they are missing or fewer than at the last look."""
    candidate, control = evidence.candidate_counts, evidence.control_counts
    if has_everybody(plan, state):
        control = ArmCounts()
    if candidate is None or control is None:
        return None
    look = Look(_arm_look(candidate, state.slow_seconds), _arm_look(control, state.slow_seconds))
    if not all(_is_possible(now, before) for now, before in _beside(look, state.looked)):
        return None
    return look


def _beside(look: Look, before: Look) -> tuple[tuple[ArmLook, ArmLook], ...]:
    return (look.candidate, before.candidate), (look.control, before.control)


def _is_possible(now: ArmLook, before: ArmLook) -> bool:
    grew = all(getattr(now.since(before), name) >= 0 for name in ARM_NUMBERS)
    came = now.since(before)
    return grew and came.failures <= came.requests and came.slow <= came.answered and came.wrong <= came.judged


def _arm_look(counts: ArmCounts, slow_seconds: float | None) -> ArmLook:
    answered = sum(counts.times.values())
    limit = None if slow_seconds is None else bucket_of(slow_seconds)
    slow = 0 if limit is None else sum(n for bucket, n in counts.times.items() if bucket > limit)
    return ArmLook(counts.requests, counts.failures, answered, slow, counts.judged, counts.wrong)


def _warming(plan: RolloutSettings, state: RolloutState, evidence: Evidence, now: Look) -> RolloutState:
    """While it warms up, what is slow is told anew at each look; with the last one it stands."""
    control = evidence.control_counts
    if is_compared(plan, state) and control is not None and control.times:
        state = replace(state, slow_seconds=quantile(control.times, SLOW_PERCENT))
        now = look_of(plan, replace(state, looked=Look()), evidence) or now
    enough = state.seconds >= plan.timing.warm_up_seconds and (
        not _needs_times(plan, state) or now.control.answered >= LEAST_TIMED
    )
    return replace(state, looked=now, warm=now if enough else None)


def _needs_times(plan: RolloutSettings, state: RolloutState) -> bool:
    tested = plan.alpha_of("slow answers") > 0 and "latency" not in plan.limits.may_be_missing
    return tested and state.phase == "stage" and is_compared(plan, state)


def _tested(plan: RolloutSettings, state: RolloutState, came: Look) -> RolloutState:
    one, other = came.candidate, came.control
    failures = Block(one.requests, one.failures, other.requests, other.failures)
    blocks: dict[TestName, Block] = {"failures": failures}
    if state.phase == "stage":  # copies are computed when there is time for them: they are slow, and nobody minds
        slow = Block(one.answered, one.slow, other.answered, other.slow)
        wrong = Block(one.judged, one.wrong, other.judged, other.wrong)
        blocks |= {"slow answers": slow, "wrong answers": wrong}
        if state.stage == plan.compared_stages - 1:  # where most load is: what is shown with less is not shown
            blocks |= {"no more failures": failures, "no more slow answers": slow}
        state = replace(state, reference=state.reference.plus(other))
    tests = {name: test.after(blocks[name]) if name in blocks else test for name, test in state.tests.items()}
    return replace(state, tests=tests)


def with_new_runs(state: RolloutState) -> RolloutState:
    """Guardrails begin afresh beside what they know: a fault that only comes with more load is found as quickly."""
    return replace(state, tests={name: test.with_new_run() for name, test in state.tests.items()})


def crossed(test: RateTest, alpha: float) -> bool:
    """Whether a test has ever reached what its chance of error asks for; never where it has none."""
    return alpha > 0 and test.highest >= -math.log(alpha)
