"""One step of a rollout: a pure function of what stood, what was seen and how much time passed."""

import math
from dataclasses import replace

from vitrail.rollout.decision import Decision, Finding, Moment, Outcome, route_step
from vitrail.rollout.evidence import Evidence
from vitrail.rollout.gates import ORDER
from vitrail.rollout.measuring import after_look, has_everybody, is_compared, with_new_runs
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.progress import phase_after, progress_of
from vitrail.rollout.state import (
    MOST_DECISIONS,
    DecisionRecord,
    Pause,
    PauseKind,
    RolloutState,
    next_phase,
    title_of,
)


def tick(plan: RolloutSettings, state: RolloutState, evidence: Evidence, now: Moment) -> Decision:
    """What a rollout does now. Nothing is read, written or changed; the same values always give the same decision.

    In this order, whatever else is wrong: what a person ordered, hard limits, guardrails, integrity, signals; only then
    whether the phase lasted long enough, saw enough, and shows what must be shown. At most one phase is left, so that
    no stage is passed over, however long nobody looked.

    Args:
        plan: of the rollout; it does not change while it runs.
        state: as the last tick left it, or an order of a person.
        evidence: of this moment.
        now: the wall clock, for people only, and the seconds since the last tick.

    Returns:
        The next state, and which routes belong to it where these change. Whoever calls writes both, or neither.
    """
    if state.is_over:
        return Decision("none", state, None, (f"the rollout is over: {state.result}",))
    elapsed = now.elapsed if math.isfinite(now.elapsed) and now.elapsed > 0 else 0.0
    begun = replace(state, order=None, waiting=())
    if begun.counting_since is None and evidence.confirmed:
        begun = replace(begun, counting_since=now.wall)
    looked = after_look(plan, begun, evidence, elapsed=elapsed)
    step = _Step(plan, before=state, state=looked, evidence=evidence, now=now)
    if state.order is not None and state.order.kind == "abort":
        return step.fail(
            Finding("fail", "order", f"{state.order.by} ordered an abort: {state.order.why or 'no reason'}")
        )
    if looked.condemned is not None:
        return step.fail(Finding("fail", "halted", looked.condemned))
    for gate in ORDER:
        finding = gate(plan, looked, evidence)
        if finding is not None:
            return step.stopped_by(finding)
    return step.go_on()


class _Step:
    """What can come of a tick, from one state and its evidence."""

    def __init__(
        self, plan: RolloutSettings, *, before: RolloutState, state: RolloutState, evidence: Evidence, now: Moment
    ) -> None:
        self._plan, self._before, self._state = plan, before, state
        self._evidence, self._now = evidence, now

    def stopped_by(self, finding: Finding) -> Decision:
        """A check has something against going on."""
        if finding.kind == "fail":
            return self.fail(finding)
        order = self._before.order
        if order is not None:
            ignored = f"{order.by} ordered to {order.kind}, which is not done: {finding.gate}"
            finding = replace(finding, sentence=f"{finding.sentence}; {ignored}")
        if finding.kind == "pause":
            return self._pause(finding.pause, finding.gate, finding.sentence)
        if finding.kind == "hold":
            self._state = replace(self._state, unmeasured=0)
            if progress_of(self._plan, self._state, self._evidence).standing == "inconclusive":
                return self._pause("inconclusive", finding.gate, finding.sentence)
            return self._wait(self._state, (f"{finding.gate}: {finding.sentence}",))
        checks = self._state.unmeasured + 1
        self._state = replace(self._state, unmeasured=checks)
        if checks >= self._plan.limits.most_unmeasured:
            return self._pause("cannot measure", finding.gate, f"{finding.sentence} ({checks} checks in a row)")
        return self._wait(self._state, (f"cannot measure: {finding.sentence}",))

    def fail(self, finding: Finding) -> Decision:
        """Users return to the stable model, all at once; if that is not well, nobody is moved."""
        sentence = f"{finding.gate}: {finding.sentence}" if finding.gate != "halted" else finding.sentence
        moves_users = self._state.phase in ("stage", "bake")
        if moves_users and not self._evidence.stable.healthy:
            why = f"users cannot return: the stable model is not well: {self._evidence.stable.why or 'no reason known'}"
            self._state = replace(self._state, condemned=sentence)
            return self._pause("halted", "stable model", f"{sentence}; {why}", outcome="halt")
        failed = replace(self._state, phase="rolled back", pause=None, condemned=None, result=self._failed_result())
        return self._decided("abort", failed, (sentence,))

    def go_on(self) -> Decision:
        """No check has anything against it."""
        state, order = replace(self._state, unmeasured=0), self._before.order
        found = progress_of(self._plan, state, self._evidence)
        if found.standing == "fail":
            return self.fail(Finding("fail", state.phase, "; ".join(found.sentences)))
        promoted = order is not None and order.kind == "promote" and state.phase not in ("verifying", "loading")
        if state.pause is not None and not promoted:
            return self._wait(state, (f"paused ({state.pause.kind}): {state.pause.sentence}", *found.sentences))
        if promoted and order is not None:
            said = f"{order.by} ordered to go on: {order.why or 'no reason'}"
            return self._advance(state, (said, *found.sentences))
        if found.standing == "inconclusive":
            self._state = state
            return self._pause("inconclusive", state.phase, "; ".join(found.sentences))
        if found.standing == "wait":
            return self._wait(state, found.sentences)
        phase, number = phase_after(self._plan, state)
        if phase == "stage" and self._plan.stages[number].ask_before:
            self._state = state
            name = self._plan.stages[number].name
            return self._pause("approval", f"stage {name}", f"stage {name} waits until somebody agrees")
        return self._advance(state, found.sentences)

    def _advance(self, state: RolloutState, sentences: tuple[str, ...]) -> Decision:
        phase, number = phase_after(self._plan, state)
        if phase == "completed":
            return self._decided("complete", replace(state, phase=phase, pause=None, result="success"), sentences)
        was_compared = is_compared(self._plan, state)
        after = next_phase(state, phase, stage=number, wall=self._now.wall)
        if was_compared and is_compared(self._plan, after):
            after = with_new_runs(after)
        return self._decided("advance", after, sentences)

    def _pause(self, kind: PauseKind, gate: str, sentence: str, *, outcome: Outcome = "pause") -> Decision:
        pause, before = Pause(kind, gate, sentence), self._state.pause
        state = replace(self._state, pause=pause, waiting=(sentence,))
        if before is not None and (before.kind, before.gate) == (kind, gate):
            return Decision("wait", state, None, (sentence,))
        return self._decided(outcome, state, (sentence,))

    def _wait(self, state: RolloutState, sentences: tuple[str, ...]) -> Decision:
        return Decision("wait", replace(state, waiting=sentences), None, sentences)

    def _decided(self, outcome: Outcome, state: RolloutState, sentences: tuple[str, ...]) -> Decision:
        record = DecisionRecord(self._now.wall, title_of(self._plan, self._state), outcome, sentences)
        state = replace(state, decisions=(*state.decisions, record)[-MOST_DECISIONS:])
        before, after = (route_step(self._plan, each) for each in (self._before, state))
        return Decision(outcome, state, after[0] if after != before else None, sentences)

    def _failed_result(self) -> str:
        if self._state.phase == "stage":
            name = self._plan.stages[self._state.stage].name
            return "canary_failed" if self._state.stage == 0 else f"rollout_failed_at_{name}"
        return "rollout_failed_at_bake" if has_everybody(self._plan, self._state) else "rejected"
