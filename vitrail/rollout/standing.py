"""How a rollout stands, for a page or a command line: every gate with its numbers, and what is waited for."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from vitrail.measures.anytime_means import bounded_mean, difference_of_shares
from vitrail.measures.intervals import Measure
from vitrail.measures.paired_sequence import difference_so_far
from vitrail.rollout.decision import route_step
from vitrail.rollout.evidence import Evidence, Pairs
from vitrail.rollout.measuring import crossed, is_compared
from vitrail.rollout.orders import possible_orders
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.sentences import counted
from vitrail.rollout.state import TESTS, ArmLook, RolloutState, TestName, title_of

Verdict = Literal["fine", "suspicious", "failed", "shown", "not shown yet", "not measured"]


@dataclass(frozen=True)
class GateFigures:
    """One gate with its numbers.

    Attributes:
        gate: which.
        measure: how much worse the candidate is (how much better, of pairs), with limits for every moment.
        margin: by how much it may be.
        p_value: of the test; None where there is none.
        alpha: below which it decides.
        verdict: where it stands.
    """

    gate: str
    measure: Measure
    margin: float
    p_value: float | None
    alpha: float | None
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "gate": self.gate, "measure": self.measure.as_json(), "text": self.measure.text(), "margin": self.margin,
            "p_value": self.p_value, "alpha": self.alpha, "verdict": self.verdict,
        }  # fmt: skip


def gate_figures(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Iterator[GateFigures]:
    """Every gate of the phase with its numbers.

    The limits are of this phase alone; p-values are of the whole rollout, and decide.
    """
    if is_compared(plan, state):
        for name, test in state.tests.items():
            guardrail, side = TESTS[name]
            alpha = plan.alpha_of(guardrail) if side == "above" else plan.guardrails.proof_alpha
            measure = _difference(name, state.measured.candidate, state.measured.control)
            has_crossed = crossed(test, alpha)
            if side == "below":
                verdict: Verdict = "shown" if has_crossed else "not shown yet"
            else:
                verdict = "failed" if has_crossed else _suspicion(test.p_now, plan)
            verdict = verdict if measure.value is not None else "not measured"
            yield GateFigures(name, measure, test.margin, test.p_value, alpha, verdict)
    if state.phase == "shadow" and evidence.pairs is not None:
        yield from _pair_figures(plan, evidence.pairs)


def _difference(name: TestName, candidate: ArmLook, control: ArmLook) -> Measure:
    return difference_of_shares(*counted(name, candidate), *counted(name, control), name=name)


def _suspicion(p_value: float, plan: RolloutSettings) -> Verdict:
    return "suspicious" if p_value < plan.guardrails.suspicious_below else "fine"


def _pair_figures(plan: RolloutSettings, pairs: Pairs) -> Iterator[GateFigures]:
    rules = plan.shadow
    level = 1 - 2 * rules.quality_alpha
    difference = difference_so_far(pairs.judged, fixed=pairs.fixed, broken=pairs.broken, level=level)
    verdict: Verdict = "not measured" if difference.low is None else "not shown yet"
    if difference.low is not None and difference.low > -rules.quality_margin:
        verdict = "shown"
    yield GateFigures("accuracy in pairs", difference, rules.quality_margin, None, rules.quality_alpha, verdict)
    counts = np.array([pairs.pairs - pairs.agree, pairs.agree], dtype=np.float64)
    agreement = bounded_mean(np.array([0.0, 1.0]), counts, name="agreement", level=level)
    enough = agreement.value is not None and agreement.value >= rules.least_agreement
    said: Verdict = "not measured" if agreement.value is None else "fine" if enough else "suspicious"
    yield GateFigures("agreement in pairs", agreement, rules.least_agreement, None, None, said)


def rollout_standing(plan: RolloutSettings, state: RolloutState, evidence: Evidence | None) -> dict[str, Any]:
    """All there is to tell of a rollout, as plain values.

    Args:
        plan: of the rollout.
        state: as the last tick left it.
        evidence: of the last tick; None: there was none yet.
    """
    step, share = route_step(plan, state)
    return {
        "phase": state.phase, "title": title_of(plan, state), "stage": state.stage, "result": state.result,
        "stages": [{"name": stage.name, "percent": stage.percent} for stage in plan.stages],
        "routes": step, "share": share, "since": state.since, "seconds": state.seconds,
        "paused": None if state.pause is None else {"kind": state.pause.kind, "sentence": state.pause.sentence},
        "shadow_share": plan.shadow.shadow_share,
        "counts": {"candidate": asdict(state.measured.candidate), "control": asdict(state.measured.control)},
        "waiting": list(state.waiting), "unmeasured": state.unmeasured, "orders": list(possible_orders(state)),
        "gates": [] if evidence is None else [each.as_json() for each in gate_figures(plan, state, evidence)],
        "decisions": [
            {"at": each.at, "where": each.where, "outcome": each.outcome, "sentences": list(each.sentences)}
            for each in state.decisions
        ],
    }  # fmt: skip
