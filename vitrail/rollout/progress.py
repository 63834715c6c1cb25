"""Whether a phase is over: least time, requests and looks first, then what must be shown; and which phase is next."""

from dataclasses import dataclass
from typing import Literal

from vitrail.measures.paired_sequence import difference_so_far
from vitrail.measures.replacement import replacement
from vitrail.rollout.evidence import Evidence
from vitrail.rollout.measuring import crossed, has_everybody, is_compared
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.sentences import percent, seconds_text
from vitrail.rollout.state import TESTS, Phase, RolloutState, TestName

Standing = Literal["wait", "pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Progress:
    """How a phase stands.

    Attributes:
        standing: `inconclusive`: it had all the time it may have, and neither passed nor failed.
        sentences: what it waits for, or why it is over.
    """

    standing: Standing
    sentences: tuple[str, ...]


def progress_of(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Progress:
    """How the phase of a state stands, where no check had anything against it."""
    match state.phase:
        case "verifying":
            said = evidence.verification
            if said is None:
                return Progress("wait", ("the package is being verified",))
            return Progress("pass" if said.passed else "fail", (said.sentence,))
        case "loading":
            return _loading(plan, state, evidence)
        case "shadow":
            least, most = plan.shadow.least_shadow_seconds, plan.shadow.most_shadow_seconds
            waits = [*_too_short(state, least), *_too_few_pairs(plan, evidence)]
            return _judged(state, waits, [*_suspicions(plan, state), *_quality_unproven(plan, evidence)], most)
        case "bake":
            return _judged(state, _too_short(state, plan.timing.bake_seconds), [], plan.timing.most_stage_seconds)
        case _:
            return _stage(plan, state)


def _loading(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Progress:
    if evidence.candidate.state == "ready" and evidence.confirmed:
        return Progress("pass", ("the candidate answers on every server",))
    most = plan.timing.most_loading_seconds
    why = evidence.candidate.why or ("it is being loaded" if evidence.confirmed else "servers have not confirmed it")
    if state.seconds >= most:
        return Progress("fail", (f"the candidate did not answer within {seconds_text(most)}: {why}",))
    return Progress("wait", (f"the candidate does not answer yet: {why}",))


def _stage(plan: RolloutSettings, state: RolloutState) -> Progress:
    stage, timing = plan.stages[state.stage], plan.timing
    least = timing.least_stage_seconds if stage.least_seconds is None else stage.least_seconds
    most = timing.most_stage_seconds if stage.most_seconds is None else stage.most_seconds
    requests = timing.least_stage_requests if stage.least_requests is None else stage.least_requests
    waits = _too_short(state, least)
    if state.warm is None:
        waits.append("it warms up: only what comes afterwards is compared")
    arms = {"candidate": state.measured.candidate}
    if is_compared(plan, state):
        arms["control"] = state.measured.control
    waits += [
        f"the {name} was asked {look.requests:,} times since the warm-up; {requests:,} are needed"
        for name, look in arms.items() if look.requests < requests
    ]  # fmt: skip
    if state.looks < timing.least_looks:
        waits.append(f"new figures came {state.looks} times; {timing.least_looks} are needed")
    doubts = _suspicions(plan, state) if is_compared(plan, state) else []
    if state.stage == plan.compared_stages - 1:
        doubts += _unproven(plan, state)
    return _judged(state, waits, doubts, most)


def _judged(state: RolloutState, waits: list[str], doubts: list[str], most_seconds: float) -> Progress:
    if not waits and not doubts:
        return Progress("pass", (f"passed after {seconds_text(state.seconds)}",))
    if state.seconds >= most_seconds + state.seconds_granted:
        return Progress("inconclusive", (f"not passed within {seconds_text(state.seconds)}", *waits, *doubts))
    return Progress("wait", (*waits, *doubts))


def _too_short(state: RolloutState, least: float) -> list[str]:
    if state.seconds >= least:
        return []
    return [f"it lasts {seconds_text(state.seconds)} of at least {seconds_text(least)}"]


def _too_few_pairs(plan: RolloutSettings, evidence: Evidence) -> list[str]:
    pairs, least = 0 if evidence.pairs is None else evidence.pairs.pairs, plan.shadow.least_pairs
    return [] if pairs >= least else [f"{pairs:,} images were answered by both; {least:,} are needed"]


def _suspicions(plan: RolloutSettings, state: RolloutState) -> list[str]:
    below = plan.guardrails.suspicious_below
    return [
        f"{name}: p = {test.p_now:.2g} is no reason to stop, and none to go on (from {below:g} on it is)"
        for name, test in state.tests.items()
        if TESTS[name][1] == "above" and test.p_now < below
    ]


def _unproven(plan: RolloutSettings, state: RolloutState) -> list[str]:
    """Before everybody has it, it must be shown, not merely not refuted, that the candidate is not worse."""
    needed: dict[TestName, str] = {"no more failures": "fails", "no more slow answers": "is slow"}
    if "latency" in plan.limits.may_be_missing:
        del needed["no more slow answers"]
    alpha = plan.guardrails.proof_alpha
    return [
        f"that the candidate {verb} at most {percent(test.margin)} more often is not shown yet: p = {test.p_value:.2g}"
        for name, verb in needed.items()
        if (test := state.tests.get(name)) is not None and not crossed(test, alpha)
    ]


def _quality_unproven(plan: RolloutSettings, evidence: Evidence) -> list[str]:
    pairs, rules = evidence.pairs, plan.shadow
    if pairs is None or (not pairs.judged and "truth" in plan.limits.may_be_missing):
        return []
    level = 1 - 2 * rules.quality_alpha
    difference = difference_so_far(pairs.judged, fixed=pairs.fixed, broken=pairs.broken, level=level)
    if replacement(difference, margin=rules.quality_margin) == "may replace":
        return []
    return [f"that accuracy falls by at most {percent(rules.quality_margin)} is not shown yet: {difference.text()}"]


def phase_after(plan: RolloutSettings, state: RolloutState) -> tuple[Phase, int]:
    """The phase that follows, with its stage; a shadow without copies is passed over, no stage ever is."""
    if state.phase == "verifying":
        return "loading", 0
    if state.phase == "loading" and plan.shadow.shadow_share > 0:
        return "shadow", 0
    if state.phase in ("loading", "shadow"):
        return "stage", 0
    if state.phase == "stage" and not has_everybody(plan, state):
        return "stage", state.stage + 1
    return ("bake" if state.phase == "stage" else "completed"), state.stage
