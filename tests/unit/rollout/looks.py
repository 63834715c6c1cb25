"""Looks at a service as tests want them: a plan of small numbers, evidence that is fine, ticks one after another."""

from collections.abc import Callable
from dataclasses import replace

from vitrail.monitoring.latency import bucket_of
from vitrail.rollout.decision import Decision, Moment
from vitrail.rollout.evidence import ArmCounts, ClassPairs, Evidence, Exposures, ModelHealth, Pairs, Verification
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.state import RolloutState, begun_state
from vitrail.rollout.tick import tick

READY = ModelHealth("ready", healthy=True)
FAST = bucket_of(0.02)
SLOW = bucket_of(0.2)


def small_plan(**values: object) -> RolloutSettings:
    """Stages of 10 seconds and 100 requests."""
    small = {
        "least_stage_seconds": 10.0, "least_stage_requests": 100, "least_looks": 1, "most_stage_seconds": 1000.0,
        "warm_up_seconds": 1.0, "bake_seconds": 20.0, "least_pairs": 50, "least_shadow_seconds": 5.0,
        "most_shadow_seconds": 1000.0, "no_data_seconds": 60.0, "most_loading_seconds": 100.0,
    }  # fmt: skip
    return RolloutSettings.gather(**{**small, **values})


def counts(requests: int, *, failures: int = 0, slow_share: float = 0.05, judged: int = 0, wrong: int = 0) -> ArmCounts:
    """So many answers, of which a share took 0.2 seconds and the rest 0.02."""
    answered = requests - failures
    slow = round(answered * slow_share)
    times = {bucket: n for bucket, n in ((FAST, answered - slow), (SLOW, slow)) if n}
    return ArmCounts(requests, failures, times, judged, wrong)


def pairs(n: int, *, agree: float = 0.95, judged: int = 0, fixed: int = 0, broken: int = 0) -> Pairs:
    """Of two classes, all pairs of the first."""
    whole = ClassPairs(n, round(n * agree), judged, fixed, broken)
    by_class = {"ants": whole, "bees": ClassPairs()}
    return Pairs(whole.pairs, whole.agree, whole.judged, whole.fixed, whole.broken, by_class)


def look(n: int, *, failing: int = 0, control_failing: int = 0) -> Evidence:
    """All is well, and each arm was asked `n` times."""
    return Evidence(
        candidate=READY, stable=READY, verification=Verification(True, "the package is what it says"),
        candidate_counts=counts(n, failures=failing), control_counts=counts(n, failures=control_failing),
        pairs=pairs(n), exposures=Exposures(n, n),
    )  # fmt: skip


def ticked(
    plan: RolloutSettings, state: RolloutState, evidence: Evidence, *, elapsed: float = 5.0, wall: float = 1000.0
) -> Decision:
    """One tick."""
    return tick(plan, state, evidence, Moment(wall=wall, elapsed=elapsed))


def driven(
    plan: RolloutSettings, state: RolloutState, *, until: Callable[[RolloutState], bool], most: int = 400,
    requests: int = 100,
) -> RolloutState:  # fmt: skip
    """The state after ticks of 5 seconds with traffic that is fine, as soon as `until` says so."""
    n, before = 0, (state.phase, state.stage)
    for _ in range(most):
        if until(state):
            return state
        n = requests if (state.phase, state.stage) != before else n + requests
        before = (state.phase, state.stage)
        state = ticked(plan, state, look(n)).state
    raise AssertionError(f"still {state.phase} {state.stage}: {state.waiting}")


def begun(plan: RolloutSettings) -> RolloutState:
    """A rollout that has just begun."""
    return begun_state(plan, wall=1000.0)


def in_phase(plan: RolloutSettings, phase: str, stage: int = 0) -> RolloutState:
    """A rollout that came to a phase by itself."""
    return driven(plan, begun(plan), until=lambda state: (state.phase, state.stage) == (phase, stage))


def warmed(plan: RolloutSettings, state: RolloutState, n: int = 100) -> RolloutState:
    """After the warm-up of a phase, in which each arm was asked `n` times."""
    warm = ticked(plan, state, look(n)).state
    assert warm.warm is not None
    return warm


def unwell(why: str = "it answers nothing") -> ModelHealth:
    """A model that is there, and not well."""
    return replace(READY, healthy=False, why=why)
