"""What a person may tell a rollout: pause, go on, promote, abort. Each gives the next state; the next tick obeys it."""

from dataclasses import replace
from typing import Literal

from vitrail.basics.errors import InputError
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.state import MOST_DECISIONS, DecisionRecord, Order, OrderKind, Pause, RolloutState, title_of


def with_pause(plan: RolloutSettings, state: RolloutState, *, by: str, why: str, wall: float) -> RolloutState:
    """It stays where it is, and goes on measuring: it may still be stopped.

    Raises:
        InputError: the rollout is over.
    """
    _refuse_over(state)
    sentence = f"{by} paused it: {why or 'no reason'}"
    return _recorded(plan, replace(state, pause=Pause("person", by, sentence)), "pause", sentence, wall)


def with_resume(plan: RolloutSettings, state: RolloutState, *, by: str, why: str, wall: float) -> RolloutState:
    """It goes on, and what paused it is set aside for the phase; a phase without a verdict gets as much time again.

    What stops a rollout is not set aside: it will stop it again.

    Raises:
        InputError: it is not paused, or over, or waits for somebody to agree to a stage.
    """
    _refuse_over(state)
    if state.pause is None:
        raise InputError("the rollout is not paused", hint="`status` tells what it waits for")
    if state.pause.kind == "approval":
        raise InputError(state.pause.sentence, hint="agree with `promote`, or end it with `abort`")
    aside = (state.pause.gate,) if state.pause.kind == "integrity" else ()
    granted = state.seconds if state.pause.kind == "inconclusive" else state.seconds_granted
    went_on = replace(
        state, pause=None, condemned=None, unmeasured=0, quiet_seconds=0.0, seconds_granted=granted,
        accepted=(*state.accepted, *aside),
    )  # fmt: skip
    return _recorded(plan, went_on, "resume", f"{by} resumed it: {why or 'no reason'}", wall)


def with_order(
    plan: RolloutSettings, state: RolloutState, kind: OrderKind, *, by: str, why: str, wall: float
) -> RolloutState:
    """The next tick aborts, or goes on to the next phase if no check is against it.

    Raises:
        InputError: the rollout is over, an abort was ordered, or there is nothing to promote yet.
    """
    _refuse_over(state)
    if state.order is not None and _is_aborted(state):
        raise InputError(f"{state.order.by} has ordered to abort it, which comes first", hint="`status` tells its end")
    if kind == "promote" and state.phase in ("verifying", "loading"):
        raise InputError(
            f"the rollout is {state.phase}: nothing is to be promoted yet", hint="wait until the candidate answers"
        )
    said = f"{by} ordered to {kind}: {why or 'no reason'}"
    return _recorded(plan, replace(state, order=Order(kind, by, why)), "order", said, wall)


def possible_orders(state: RolloutState) -> tuple[Literal["pause", "resume", "promote", "abort"], ...]:
    """What a rollout would obey now; nothing once it is over."""
    if state.is_over:
        return ()
    first: tuple[Literal["pause", "resume"], ...] = ("pause",)
    if state.pause is not None:
        first = () if state.pause.kind == "approval" else ("resume",)
    if _is_aborted(state):
        return first
    return (*first, "abort") if state.phase in ("verifying", "loading") else (*first, "promote", "abort")


def _is_aborted(state: RolloutState) -> bool:
    """Whether the next tick ends it: whatever else somebody wants meanwhile, users return."""
    return state.order is not None and state.order.kind == "abort"


def _refuse_over(state: RolloutState) -> None:
    if state.is_over:
        raise InputError(f"the rollout is over: {state.result}", hint="start another one")


def _recorded(plan: RolloutSettings, state: RolloutState, outcome: str, sentence: str, wall: float) -> RolloutState:
    record = DecisionRecord(wall, title_of(plan, state), outcome, (sentence,))
    return replace(state, decisions=(*state.decisions, record)[-MOST_DECISIONS:])
