"""A rollout conducted from a command or a program: lines of what changes, and one that says how it stands."""

import os
import socket
import threading
import time

from vitrail.basics.clock import SystemClock
from vitrail.basics.events import Emit, Noted, WorkDescribed, WorkEnded, WorkStarted
from vitrail.rollout.decision import route_step
from vitrail.rollout.live.claim import Claim
from vitrail.rollout.live.conductor import Conductor
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.measuring import has_everybody, is_measured
from vitrail.rollout.sentences import percent, seconds_text
from vitrail.rollout.state import title_of


def holder_text(by: str) -> str:
    """Who conducts, for people: the person, the machine and the process."""
    return f"{by} on {socket.gethostname()}, process {os.getpid()}"


def conducted(
    claim: Claim, conductor: Conductor, kept: KeptRollout, *, every: float, ended: threading.Event, emit: Emit
) -> KeptRollout:  # fmt: skip
    """Conduct a rollout until it is over or somebody ends this.

    Args:
        claim: on it.
        conductor: that takes it further.
        kept: how it stands.
        every: seconds from one look to the next.
        ended: set by whoever ends it; it stays as it stands.
        emit: receives a line for every change.

    Raises:
        KeyboardInterrupt: it stays as it stands.
        Overtaken: another conductor has taken over.
    """
    work = f"rollout {kept.number}"
    emit(WorkStarted(work, None, "looks"))
    try:
        for done in conductor.passes(every=every, ended=ended):
            kept = done.kept or kept
            for each in done.told:
                emit(Noted(f"{_now()}  {each}"))
            emit(WorkDescribed(work, described(kept)))
        if not kept.is_closed:
            claim.release()
    except KeyboardInterrupt:
        claim.release()
        emit(Noted(left_alone(kept), level="warning"))
        raise
    finally:
        emit(WorkEnded(work))
    return kept


def left_alone(kept: KeptRollout) -> str:
    """What a person who ended a conductor should know."""
    return (
        f"rollout {kept.number} stays in {title_of(kept.plan, kept.state)}; a server that runs with this state takes "
        "it up, `vitrail rollout conduct` does from here, `vitrail rollout pause` or `abort` stops it"
    )


def described(kept: KeptRollout) -> str:
    """How a rollout stands, in one line."""
    state, (step, share) = kept.state, route_step(kept.plan, kept.state)
    if state.is_over:
        return f"{state.result}"
    parts = [title_of(kept.plan, state) + (f" {percent(share)}" if step in ("split", "shadow") else "")]
    if is_measured(kept.plan, state):
        looked = state.looked
        parts.append(f"{seconds_text(state.seconds)}, candidate {looked.candidate.requests:,} requests")
        if not has_everybody(kept.plan, state):
            parts[-1] += f", beside it {looked.control.requests:,}"
    parts += list(state.waiting[:1])
    return "; ".join(parts)


def _now() -> str:
    return time.strftime("%H:%M:%S", time.localtime(SystemClock().wall()))
