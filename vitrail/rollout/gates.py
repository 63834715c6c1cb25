"""The checks of a tick, in their order: hard limits, guardrails, integrity, signals."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from vitrail.measures.anytime_means import bounded_mean, log_capital
from vitrail.measures.paired_sequence import loss_p_value
from vitrail.measures.sample_ratio import sample_ratio
from vitrail.monitoring.latency import quantile
from vitrail.rollout.decision import Finding
from vitrail.rollout.evidence import Evidence, Pairs
from vitrail.rollout.measuring import crossed, has_everybody, is_compared, is_measured, look_of
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.sentences import bytes_text, percent, rate_sentence, seconds_text
from vitrail.rollout.state import TESTS, RolloutState

Gate = Callable[[RolloutSettings, RolloutState, Evidence], Finding | None]
LEAST_TIMED_OF_LIMIT = 100
"""Answers from which a 99th percentile is taken."""
LEAST_EXPOSED = 100
"""Users from which those are counted that were seen in two arms."""
_HIT = np.array([0.0, 1.0])


def hard_limits(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Finding | None:
    """What ends a rollout at once; the figures of a warm-up count, and nothing is compared."""
    limits, health, counts = plan.limits, evidence.candidate, evidence.candidate_counts
    if state.phase == "verifying":
        return None
    if health.state == "down":
        return Finding("fail", "hard limit", f"the candidate is down: {health.why}")
    if health.crashes >= limits.most_crashes:
        times = "once" if health.crashes == 1 else f"{health.crashes} times"
        return Finding("fail", "hard limit", f"the candidate's process ended {times}: {health.why}")
    memory = _memory_finding(plan, evidence)
    if memory is not None or not is_measured(plan, state):
        return memory
    if state.unwell_seconds is not None and state.unwell_seconds >= limits.most_unwell_seconds:
        unwell = f"the candidate is not well for {seconds_text(state.unwell_seconds)}: {health.why}"
        return Finding("fail", "hard limit", unwell)
    for look, when in ((state.looked.candidate, "in this phase"), (state.came.candidate, "since the last look")):
        if look.failures >= limits.least_limit_failures and look.failures >= limits.most_failure_share * look.requests:
            failed = f"{look.failures:,} of {look.requests:,} requests to the candidate failed {when}"
            limit = f"from {percent(limits.most_failure_share)} on it ends at once"
            return Finding("fail", "hard limit", f"{failed}; {limit}")
    if limits.most_p99_seconds is None or counts is None or state.phase == "shadow":  # copies wait for a quiet moment
        return None
    p99 = quantile(counts.times, 99) if sum(counts.times.values()) >= LEAST_TIMED_OF_LIMIT else None
    if p99 is not None and p99 > limits.most_p99_seconds:
        limit = seconds_text(limits.most_p99_seconds)
        return Finding("fail", "hard limit", f"one of 100 answers took longer than {seconds_text(p99)}; limit {limit}")
    return None


def _memory_finding(plan: RolloutSettings, evidence: Evidence) -> Finding | None:
    most, one, other = plan.limits.most_memory_ratio, evidence.candidate, evidence.stable
    if most is None or (one.state, other.state) != ("ready", "ready") or not (one.memory_bytes and other.memory_bytes):
        return None
    ratio = one.memory_bytes / other.memory_bytes
    if ratio <= most:
        return None
    held = f"the candidate's process holds {bytes_text(one.memory_bytes)}, {ratio:.1f} times what the stable model's"
    return Finding("fail", "hard limit", f"{held} holds ({bytes_text(other.memory_bytes)}); {most:g} times at most")


def guardrails(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Finding | None:
    """Sequential tests: whether the candidate is worse than what is beside it, by more than the margin."""
    if is_compared(plan, state):
        for name, test in state.tests.items():
            guardrail, side = TESTS[name]
            if side == "above" and crossed(test, plan.alpha_of(guardrail)):
                return Finding("fail", name, rate_sentence(name, state, p_value=test.p_value, margin=test.margin))
    if state.phase == "shadow" and evidence.pairs is not None and _adds_up(evidence.pairs):
        return _pairs_against(plan, evidence.pairs)
    if has_everybody(plan, state):
        return _bake_against(plan, state)
    return None


def _pairs_against(plan: RolloutSettings, pairs: Pairs) -> Finding | None:
    alpha = plan.alpha_of("shadow answers")
    for p_value, part, sentence in pair_tests(plan, pairs):
        if p_value < alpha * part:
            return Finding("fail", "shadow answers", f"{sentence}; p = {p_value:.2g}")
    return None


def pair_tests(plan: RolloutSettings, pairs: Pairs) -> Iterator[tuple[float, float, str]]:
    """Every test of paired answers: its p-value at any moment, its part of the guardrail's alpha, and a sentence."""
    rules = plan.shadow
    yield (
        loss_p_value(pairs.judged, fixed=pairs.fixed, broken=pairs.broken, margin=rules.quality_margin), 1 / 4,
        f"of {pairs.judged:,} images with a truth the candidate breaks {pairs.broken:,} and mends {pairs.fixed:,}: "
        f"it loses more than {percent(rules.quality_margin)}",
    )  # fmt: skip
    yield (
        _too_rare(pairs.agree, pairs.pairs, rules.least_agreement), 1 / 4,
        f"the candidate agrees with the stable model on {pairs.agree:,} of {pairs.pairs:,} images; "
        f"{percent(rules.least_agreement)} are needed",
    )  # fmt: skip
    part = 1 / (4 * max(1, len(pairs.by_class)))
    for name, each in pairs.by_class.items():
        yield (
            loss_p_value(each.judged, fixed=each.fixed, broken=each.broken, margin=rules.class_margin), part,
            f"of {each.judged:,} images of {name} the candidate breaks {each.broken:,} and mends {each.fixed:,}: "
            f"it loses more than {percent(rules.class_margin)}",
        )  # fmt: skip
        yield (
            _too_rare(each.agree, each.pairs, rules.least_class_agreement), part,
            f"where the stable model says {name}, the candidate agrees on {each.agree:,} of {each.pairs:,} images; "
            f"{percent(rules.least_class_agreement)} are needed",
        )  # fmt: skip


def _too_rare(hits: int, n: int, floor: float) -> float:
    counts = np.array([n - hits, hits], dtype=np.float64)
    return math.exp(-max(0.0, log_capital(_HIT, counts, null=floor, side="below")))


def _bake_against(plan: RolloutSettings, state: RolloutState) -> Finding | None:
    """Nobody is beside the candidate any more: it is compared with what the control did in the stages before."""
    alpha, asked, known = plan.alpha_of("bake failures"), state.measured.candidate, state.reference
    if alpha <= 0 or not known.requests:
        return None
    counts = np.array([known.requests - known.failures, known.failures], dtype=np.float64)
    most = bounded_mean(_HIT, counts, name="failures of the control", level=0.95).high or 0.0
    limit = min(most + plan.guardrails.failure_margin, 0.999)
    now = np.array([asked.requests - asked.failures, asked.failures], dtype=np.float64)
    p_value = math.exp(-max(0.0, log_capital(_HIT, now, null=limit, side="above")))
    if p_value >= alpha:
        return None
    failed = f"{asked.failures:,} of {asked.requests:,} requests failed since everybody has the candidate"
    before = f"{known.failures:,} of {known.requests:,} of the control before; above {percent(limit)}"
    return Finding("fail", "bake failures", f"{failed}, {before}; p = {p_value:.2g}")


def integrity(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Finding | None:
    """Whether what was counted can be compared at all; no data is a failed check."""
    if evidence.unreadable is not None:
        return Finding("unmeasured", "figures", f"figures cannot be read: {evidence.unreadable}")
    foreign = evidence.foreign
    if foreign is not None and foreign.gate not in state.accepted:
        return Finding("pause", foreign.gate, foreign.sentence)
    if not is_measured(plan, state) or not evidence.confirmed:
        return None
    if look_of(plan, state, evidence) is None:
        return Finding("unmeasured", "figures", "figures of an arm are missing, contradict themselves, or became fewer")
    if state.quiet_seconds >= plan.limits.no_data_seconds:
        quiet = f"no arm pair had new requests for {seconds_text(state.quiet_seconds)}"
        return Finding("unmeasured", "figures", f"{quiet}; no data is a failed check")
    if state.phase == "shadow" and (evidence.pairs is None or not _adds_up(evidence.pairs)):
        return Finding("unmeasured", "pairs", "answers of the shadow cannot be paired with those of the stable model")
    return _exposure(plan, state, evidence) if state.phase == "stage" and is_compared(plan, state) else None


def _exposure(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Finding | None:
    seen = evidence.exposures
    if seen is None:
        if "users" in plan.limits.may_be_missing:
            return None
        return Finding("unmeasured", "users", "nobody counts which users came to which arm")
    if "sample ratio" not in state.accepted:
        ratio = sample_ratio({"candidate": seen.candidate, "control": seen.control}, {"candidate": 1.0, "control": 1.0})
        if ratio.is_mismatch:
            return Finding("pause", "sample ratio", f"users did not come in equal shares: {ratio.text()}")
    total = seen.candidate + seen.control
    if "two arms" not in state.accepted and total >= LEAST_EXPOSED:
        share = seen.seen_in_two / total
        if share > plan.limits.most_seen_in_two:
            said = f"{seen.seen_in_two:,} of {total:,} users were seen in more than one arm"
            return Finding("pause", "two arms", f"{said}; at most {percent(plan.limits.most_seen_in_two)} may be")
    return None


def signals(plan: RolloutSettings, state: RolloutState, evidence: Evidence) -> Finding | None:
    """What holds a rollout for as long as it is so."""
    if is_measured(plan, state) and evidence.candidate.state == "loading":
        said = "does not answer everywhere yet" if evidence.candidate.is_new else "is begun anew"
        return Finding("hold", "candidate", f"the candidate {said}: {evidence.candidate.why}")
    if is_measured(plan, state) and not evidence.candidate.healthy:
        return Finding("hold", "candidate", f"the candidate is not well: {evidence.candidate.why}")
    if is_measured(plan, state) and not evidence.stable.healthy:
        return Finding("hold", "stable model", f"the stable model is not well: {evidence.stable.why}")
    if is_measured(plan, state) and not evidence.confirmed:
        return Finding("hold", "routes", "not every server serves by the new routes yet")
    for signal in evidence.signals:
        if signal.name not in state.accepted:
            return Finding("hold", signal.name, signal.sentence)
    return None


def _adds_up(pairs: Pairs) -> bool:
    return all(
        0 <= each.agree <= each.pairs and min(each.fixed, each.broken) >= 0 and each.fixed + each.broken <= each.judged
        for each in (pairs.whole, *pairs.by_class.values())
    )


ORDER: tuple[Gate, ...] = (hard_limits, guardrails, integrity, signals)
"""What stops a canary comes before what makes figures doubtful: one that crashes loses users, and the ratio of both."""
