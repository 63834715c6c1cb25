"""`vitrail rollout`: a version takes the place of the one that serves, step by step, or its users return."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitrail.basics.clock import SystemClock
from vitrail.basics.database import Database
from vitrail.basics.events import Emit
from vitrail.pages.progress import sink_or_bars
from vitrail.rollout.acting_person import acting_person
from vitrail.rollout.asked_plan import asked_plan
from vitrail.rollout.live.addresses import opened_state_of_servers
from vitrail.rollout.live.beginning import Beginning, is_the_same
from vitrail.rollout.live.claim import Claim, waited_claim
from vitrail.rollout.live.conducting import conducted, holder_text
from vitrail.rollout.live.conductor import conductor_of
from vitrail.rollout.live.living_servers import LivingServers
from vitrail.rollout.live.replaying import replayed_rollout
from vitrail.rollout.live.rollout_store import RolloutStore, Told
from vitrail.rollout.live.shown import PlannedRollout, ReplayResult, RolloutResult
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.version_store import opened_store
from vitrail.traffic.routes_store import RoutesStore


def start_rollout(  # noqa: PLR0913 - what is rolled out where, how, and who conducts it
    version: str,
    *,
    state: str | Path | None = None,
    store: str | Path | None = None,
    plan: str | Path | None = None,
    replaces: str | None = None,
    by: str | None = None,
    conduct: bool = True,
    emit: Emit | None = None,
    **settings: Any,
) -> RolloutResult:
    """Roll a version out: beside what serves, unseen, then to a few users, then to all; or back.

    A rollout that was begun with the same version and plan, and that nobody conducts, is continued.

    Args:
        version: that was admitted, e.g. `flowers@8`.
        state: the servers' state, as for `serve`; None: `$VITRAIL_STATE`, else `runs/serve.sqlite`.
        store: as for `register`.
        plan: a YAML file with stages and bounds; None: the usual ones.
        replaces: the stable arm whose model it replaces; None: the only one.
        by: who begins it; None: the user of this machine.
        conduct: until it is over. False: leave it to the servers, which take it up within seconds.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `RolloutSettings`' names, e.g. `bake_seconds=600`; they go before those of the file.

    Returns:
        How it ended, or where it stands.

    Raises:
        InputError: the version was not admitted, does not fit what is served, or another rollout goes on.
        SystemFault: the database or the version store cannot be reached.
    """
    chosen, person, clock = asked_plan(plan, settings), acting_person(by), SystemClock()
    holder = holder_text(person) if conduct else None
    with _rollouts(state) as rollouts, sink_or_bars(emit) as emit:
        with contextlib.closing(opened_store(store, time.time)) as versions:
            current, asked = rollouts.current(), versions.version(version)
            if conduct and current is not None and is_the_same(current, asked, chosen):
                claim = waited_claim(rollouts, current.number, holder=str(holder), clock=clock, wait=time.sleep)
            else:
                beginning = Beginning(version, versions, _routes(rollouts.database), chosen, replaces=replaces)
                current = beginning.begun(rollouts, by=person, versions=versions.shown, holder=holder)
                claim = Claim(rollouts, current.number, current.fence, clock)
        if not conduct:
            return RolloutResult(current)
        conductor = conductor_of(claim, rollouts.database, LivingServers(clock), clock, store=store)
        return RolloutResult(
            conducted(claim, conductor, current, every=chosen.look_seconds, ended=threading.Event(), emit=emit)
        )  # fmt: skip


def plan_rollout(
    version: str, *, state: str | Path | None = None, store: str | Path | None = None, plan: str | Path | None = None,
    replaces: str | None = None, **settings: Any,
) -> PlannedRollout:  # fmt: skip
    """See whether a version could be rolled out, through which stages, and what that needs; nothing is changed.

    Args:
        version: e.g. `flowers@8`.
        state: as for `start_rollout`.
        store: as for `register`.
        plan: as for `start_rollout`.
        replaces: as for `start_rollout`.
        settings: as for `start_rollout`.

    Raises:
        InputError: it could not; in words.
        SystemFault: the database or the version store cannot be reached.
    """
    chosen = asked_plan(plan, settings)
    with _rollouts(state) as rollouts, contextlib.closing(opened_store(store, time.time)) as versions:
        found = Beginning(version, versions, _routes(rollouts.database), chosen, replaces=replaces)
    return PlannedRollout(found.version.id, found.arm, found.verified.verification.sentence, chosen)


def conduct_rollout(  # noqa: PLR0913 - which, where, and who conducts it
    number: int | None = None, *, state: str | Path | None = None, store: str | Path | None = None,
    by: str | None = None, take_over: bool = False, silent: str | None = None, every: float | None = None,
    ended: threading.Event | None = None, emit: Emit | None = None,
) -> RolloutResult:  # fmt: skip
    """Conduct the rollout that goes on, after whoever conducted it before.

    Args:
        number: of the rollout; None: the one that goes on.
        state: as for `start_rollout`.
        store: as for `register`; only where its address has a password.
        by: who conducts it; None: the user of this machine.
        take_over: also from a conductor that lives; it ends.
        silent: what a watcher has heard last of its conductor before it fell silent; None: it is waited for.
        every: seconds from one look at the servers to the next; None: as the plan says.
        ended: ends this when it is set, and the rollout stays where it is; None: only its own end does.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.

    Raises:
        InputError: none goes on, or somebody conducts it.
        Overtaken: another conductor has taken over meanwhile.
        SystemFault: the database cannot be reached at the beginning; later it is waited for.
    """
    clock, is_over = SystemClock(), ended or threading.Event()
    with _rollouts(state) as rollouts, sink_or_bars(emit) as emit:
        kept = rollouts.going_on() if number is None else rollouts.rollout(number)
        claim = waited_claim(
            rollouts, kept.number, holder=holder_text(acting_person(by)), clock=clock, take_over=take_over,
            silent=silent, wait=time.sleep,
        )  # fmt: skip
        conductor = conductor_of(claim, rollouts.database, LivingServers(clock), clock, store=store)
        seconds = every or kept.plan.look_seconds
        return RolloutResult(conducted(claim, conductor, kept, every=seconds, ended=is_over, emit=emit))


def rollout_status(number: int | None = None, *, state: str | Path | None = None) -> RolloutResult:
    """Where a rollout stands: its phase, why it waits, every gate with its interval, and what was decided.

    Args:
        number: of the rollout; None: the one that goes on, else the last.
        state: as for `start_rollout`.

    Raises:
        InputError: there was none.
        SystemFault: the database cannot be reached.
    """
    with _rollouts(state) as rollouts:
        return RolloutResult(rollouts.last() if number is None else rollouts.rollout(number))


def pause_rollout(*, by: str | None = None, why: str = "", state: str | Path | None = None) -> RolloutResult:
    """Let the rollout stay where it is; it goes on measuring, and may still be stopped.

    Args:
        by: who says so; None: the user of this machine.
        why: in your words.
        state: as for `start_rollout`.

    Raises:
        InputError: none goes on.
        SystemFault: the database cannot be reached.
    """
    return _ordered("pause", by, why, state)


def resume_rollout(*, by: str | None = None, why: str = "", state: str | Path | None = None) -> RolloutResult:
    """Let a paused rollout go on; what paused it is set aside for this phase, what stops a rollout is not.

    Args:
        by: who says so; None: the user of this machine.
        why: in your words.
        state: as for `start_rollout`.

    Raises:
        InputError: none goes on, it is not paused, or it waits for somebody to agree to a stage.
        SystemFault: the database cannot be reached.
    """
    return _ordered("resume", by, why, state)


def promote_rollout(*, by: str | None = None, why: str = "", state: str | Path | None = None) -> RolloutResult:
    """Let the rollout go to its next phase although it is inconclusive or not long enough; no check is set aside.

    Args:
        by: who says so; None: the user of this machine.
        why: in your words.
        state: as for `start_rollout`.

    Raises:
        InputError: none goes on, or the candidate does not answer yet.
        SystemFault: the database cannot be reached.
    """
    return _ordered("promote", by, why, state)


def abort_rollout(*, by: str | None = None, why: str = "", state: str | Path | None = None) -> RolloutResult:
    """End the rollout: its users return to the stable model, and its version is rejected.

    Args:
        by: who says so; None: the user of this machine.
        why: in your words.
        state: as for `start_rollout`.

    Raises:
        InputError: none goes on.
        SystemFault: the database cannot be reached.
    """
    return _ordered("abort", by, why, state)


def replay_rollout(
    number: int, *, plan: str | Path | None = None, state: str | Path | None = None, **settings: Any
) -> ReplayResult:
    """Put the record of a rollout before a plan again: which decision would have been taken when.

    Args:
        number: of the rollout.
        plan: a YAML file; None, and no settings: its own plan.
        state: as for `start_rollout`.
        settings: as for `start_rollout`.

    Raises:
        InputError: there was no such rollout, or the plan is none.
        SystemFault: the database cannot be reached.
    """
    with _rollouts(state) as rollouts:
        kept = rollouts.rollout(number)
        is_own = plan is None and not settings
        chosen: RolloutSettings = kept.plan if is_own else asked_plan(plan, settings)
        return ReplayResult(kept, chosen == kept.plan, list(replayed_rollout(rollouts, kept, chosen)))


def _ordered(kind: Told, by: str | None, why: str, state: str | Path | None) -> RolloutResult:
    with _rollouts(state) as rollouts:
        kept = rollouts.going_on()
        return RolloutResult(rollouts.order(kept.number, kind, by=acting_person(by), why=why))


@contextlib.contextmanager
def _rollouts(state: str | Path | None) -> Iterator[RolloutStore]:
    with contextlib.closing(opened_state_of_servers(state)) as database:
        yield RolloutStore(database, time.time)


def _routes(database: Database) -> RoutesStore:
    return RoutesStore(database, time.time)
