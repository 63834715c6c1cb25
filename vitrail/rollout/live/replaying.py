"""The record of a rollout put before a plan again: which decision would have been taken when."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from vitrail.basics.errors import InputError
from vitrail.rollout.decision import Decision, Moment
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.record import RecordLine
from vitrail.rollout.live.rollout_store import RolloutStore, Told, ordered_state
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.replay import replayed
from vitrail.rollout.state import RolloutState, begun_state, title_of


@dataclass(frozen=True)
class ReplayedDecision:
    """A decision that would have been taken.

    Attributes:
        at: seconds since 1970, by the clock of whoever recorded it.
        seconds: since the rollout began, as its ticks counted them.
        place: title of the phase in which it was taken.
        outcome: of the tick, or which order of a person.
        sentences: why.
    """

    at: float
    seconds: float
    place: str
    outcome: str
    sentences: tuple[str, ...]


def replayed_rollout(store: RolloutStore, kept: KeptRollout, plan: RolloutSettings) -> Iterator[ReplayedDecision]:
    """The decisions of a plan on the looks of a rollout; orders of persons are given again where they were given.

    With the rollout's own plan these are its decisions. With another one they hold up to the first that differs.
    """
    state, seconds = begun_state(plan, wall=kept.begun_at), 0.0
    for line in store.record(kept.number):
        if state.is_over:
            return
        place, seconds = title_of(plan, state), seconds + line.elapsed
        if line.evidence is None:
            state = _ordered(plan, state, line)
            yield ReplayedDecision(line.at, seconds, place, line.outcome, line.sentences)
            continue
        for decision in replayed(plan, state, [(line.evidence, Moment(line.at, line.elapsed))]):
            state = decision.state
            if is_decision(decision):
                yield ReplayedDecision(line.at, seconds, place, decision.outcome, decision.sentences)


def is_decision(decision: Decision) -> bool:
    """Whether something was decided."""
    return decision.outcome not in ("wait", "none")


def _ordered(plan: RolloutSettings, state: RolloutState, line: RecordLine) -> RolloutState:
    """An order that does not fit where another plan has come to is left out."""
    kind: Told | None = next((each for each in get_args(Told) if each == line.outcome), None)
    with contextlib.suppress(InputError):
        if kind is not None:
            return ordered_state(plan, state, kind, by=line.by or "", why=line.why, wall=line.at)
    return state
