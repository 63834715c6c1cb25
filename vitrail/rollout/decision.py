"""What a tick comes to: the next state, the routes that belong to it, and why."""

from dataclasses import dataclass
from typing import Literal

from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.state import PauseKind, RolloutState

Outcome = Literal["wait", "advance", "pause", "abort", "halt", "complete", "none"]
RouteStep = Literal["stable", "loaded", "shadow", "split", "promoted"]
FindingKind = Literal["fail", "pause", "unmeasured", "hold"]


@dataclass(frozen=True)
class Moment:
    """When a tick is.

    Attributes:
        wall: seconds since 1970, for people only: a clock that is set changes nothing.
        elapsed: seconds since the last tick, as a steady clock tells.
    """

    wall: float
    elapsed: float


@dataclass(frozen=True)
class Finding:
    """What a check has to say against going on.

    Attributes:
        kind: `fail`: users return; `pause`: a person is asked; `unmeasured`: a failed check; `hold`: it waits.
        gate: which check.
        sentence: with the numbers.
        pause: of which kind, where it is one.
    """

    kind: FindingKind
    gate: str
    sentence: str
    pause: PauseKind = "integrity"


@dataclass(frozen=True)
class Decision:
    """What a tick comes to.

    Attributes:
        outcome: `wait` and `none` are no decisions, the rest stand in the state's decisions as well.
        state: the next one.
        routes: what routes must be from now on, where that is something else than before; None: they stay.
        sentences: why, with the numbers.
    """

    outcome: Outcome
    state: RolloutState
    routes: RouteStep | None
    sentences: tuple[str, ...]


def route_step(plan: RolloutSettings, state: RolloutState) -> tuple[RouteStep, float]:
    """Which routes belong to a state, and the share of all traffic that the candidate, and as much the control, has."""
    if state.phase == "loading":
        return "loaded", 0.0
    if state.phase == "shadow":
        return "shadow", plan.shadow.shadow_share
    if state.phase == "stage" and state.stage < plan.compared_stages:
        return "split", plan.stages[state.stage].percent / 100
    if state.phase in ("stage", "bake", "completed"):
        return "promoted", 1.0
    return "stable", 0.0
