"""One conductor at a time: who claims a rollout raises its fence, and whoever has an older one writes nothing more."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vitrail.basics.clock import Clock
from vitrail.basics.database import Connection
from vitrail.basics.errors import InputError, VitrailError
from vitrail.rollout.decision import Decision, Moment
from vitrail.rollout.live.kept_rollout import KeptRollout, Seen
from vitrail.rollout.live.record import RecordLine, add_line
from vitrail.rollout.live.rollout_store import RolloutStore, locked_row, read_row
from vitrail.rollout.live.rollout_tables import rollout_of, rollout_tables
from vitrail.rollout.live.steady_clock import elapsed_since, this_boot
from vitrail.rollout.state import title_of
from vitrail.rollout.tick import tick

LEASE_SECONDS = 10.0
"""A conductor that is silent for so long is taken for dead."""
LOOK_SECONDS = 0.5
UNSEEN_LOOKS, UNSEEN_SECONDS = 4, 30.0
"""Time in which nobody looked is none of a stage, nor one of a candidate that is unwell: no more than this counts."""


class Overtaken(VitrailError):
    """Another conductor has taken over; this one has nothing to say any more (exit code 1)."""

    exit_code = 1


def claimed(
    store: RolloutStore, kept: KeptRollout, *, holder: str, clock: Clock, take_over: bool = False
) -> "Claim":  # fmt: skip
    """Conduct a rollout from now on.

    Args:
        store: that keeps it.
        kept: as it was seen; whoever claimed or conducted it since then was quicker.
        holder: who claims it, for people.
        clock: of this machine.
        take_over: also from a conductor that lives.

    Raises:
        InputError: another one has claimed it, or its conductor lives.
    """
    import sqlalchemy as sql

    table = rollout_tables().rollouts
    unchanged = sql.and_(table.c.number == kept.number, table.c.fence == kept.fence)
    if not take_over:
        unchanged = sql.and_(unchanged, table.c.beat == kept.beat)
    change = sql.update(table).where(unchanged).values(fence=kept.fence + 1, holder=holder)
    with store.database.writing() as connection:
        if connection.execute(change).rowcount != 1:
            raise is_conducted(kept)
    return Claim(store, kept.number, kept.fence + 1, clock)


def waited_claim(
    store: RolloutStore, number: int, *, holder: str, clock: Clock, wait: Callable[[float], object],
    take_over: bool = False, silent: str | None = None,
) -> "Claim":  # fmt: skip
    """Conduct a rollout as soon as nobody else does.

    Args:
        store: that keeps it.
        number: of the rollout.
        holder: who claims it.
        clock: of this machine.
        wait: some seconds.
        take_over: also from a conductor that lives.
        silent: what somebody has seen who watched it until its conductor was silent (`heard_of`): if nothing was heard
            since, it is not waited for once more.

    Raises:
        InputError: it is over, or somebody conducts it.
    """
    silence = Silence(clock, seconds=LEASE_SECONDS)
    while True:
        kept = store.rollout(number)
        if kept.is_closed:
            over = f"rollout {number} is over: {kept.state.result}"
            raise InputError(over, hint="start another one: vitrail rollout start NAME@N")
        if take_over or heard_of(kept) == silent or silence.is_silent(kept):
            return claimed(store, kept, holder=holder, clock=clock, take_over=take_over)
        if silence.has_grown:
            raise is_conducted(kept)
        wait(LOOK_SECONDS)


def heard_of(kept: KeptRollout) -> str:
    """What grows as long as a rollout's conductor lives."""
    return f"{kept.fence}.{kept.beat}"


def is_conducted(kept: KeptRollout) -> InputError:
    """That a rollout has a conductor who lives."""
    return InputError(
        f"rollout {kept.number} of {kept.version} is conducted by {kept.holder or 'another process'}",
        hint="vitrail rollout status --follow watches it; --take-over conducts it from here",
    )


class Claim:
    """What the conductor of a rollout writes, each in one transaction that is refused once another has claimed it.

    Every method raises `Overtaken` then, and a `SystemFault` where the database is gone; in both cases nothing of it
    was written.
    """

    def __init__(self, store: RolloutStore, number: int, fence: int, clock: Clock) -> None:
        self.number = number
        self._store, self._fence, self._clock = store, fence, clock
        self._boot = this_boot()

    def read(self) -> KeptRollout:
        """How it stands."""
        with self._store.database.reading() as connection:
            return self._checked(read_row(connection, self.number))

    def refuse_overtaken(self, connection: Connection) -> None:
        """Raise `Overtaken` unless this conductor has its say until the end of a transaction, which writes something
        that belongs to the rollout."""
        self._checked(locked_row(connection, self.number))

    def tick(self, seen: Seen) -> tuple[KeptRollout, Decision]:
        """What it does now: the state that is there now (an order may have come), the decision and what it looked at.

        Returns:
            How it stands after it, and the decision.
        """
        with self._store.database.writing() as connection:
            kept = self._checked(locked_row(connection, self.number))
            before = kept.memory
            elapsed = elapsed_since(self._clock, boot=before.boot, ticked_at=before.ticked_at, now_boot=self._boot)
            elapsed = min(elapsed, max(UNSEEN_SECONDS, UNSEEN_LOOKS * kept.plan.look_seconds))
            now = Moment(self._store.clock(), elapsed)
            decision = tick(kept.plan, kept.state, seen.evidence, now)
            if decision.outcome == "none":
                return kept, decision
            memory = replace(seen.memory, boot=self._boot, ticked_at=self._clock.monotonic())
            after = replace(kept, state=decision.state, evidence=seen.evidence, memory=memory, beat=kept.beat + 1)
            self._store.write_state(connection, after, **_columns(after))
            line = RecordLine(
                now.wall, elapsed, decision.outcome, title_of(kept.plan, kept.state), decision.sentences, seen.evidence
            )
            add_line(connection, self.number, line)
        return after, decision

    def beat(self) -> KeptRollout:
        """Say that this conductor lives; how the rollout stands, which an order may have changed."""
        import sqlalchemy as sql

        table = rollout_tables().rollouts
        with self._store.database.writing() as connection:
            kept = self._checked(locked_row(connection, self.number))
            connection.execute(sql.update(table).where(table.c.number == self.number).values(beat=kept.beat + 1))
        return kept

    def close(self) -> KeptRollout:
        """All that belongs to its end is done."""
        return self._changed(is_closed=True)

    def release(self) -> None:
        """This conductor ends, and the next one need not wait for its silence."""
        self._changed(holder=None)

    def _changed(self, **columns: Any) -> KeptRollout:
        with self._store.database.writing() as connection:
            kept = self._checked(locked_row(connection, self.number))
            self._store.write_state(connection, kept, **columns)
        return replace(kept, **columns)

    def _checked(self, row: Any) -> KeptRollout:
        if row is None:
            raise Overtaken(f"rollout {self.number} is gone from the database", hint="vitrail rollout status")
        kept = rollout_of(row)
        if kept.fence != self._fence:
            raise Overtaken(
                f"another conductor has taken over rollout {self.number}: {kept.holder or 'it has ended meanwhile'}",
                hint="vitrail rollout status --follow",
            )
        return kept


def _columns(kept: KeptRollout) -> dict[str, Any]:
    evidence = None if kept.evidence is None else json.dumps(kept.evidence.as_json())
    return {"evidence": evidence, "memory": json.dumps(kept.memory.as_json()), "beat": kept.beat}


class Silence:
    """Whether the conductor of a rollout still lives, as somebody sees it who looks now and then.

    No clock of two machines is compared: what grows is a counter, and how long it did not is told by the clock of
    whoever looks.

    Args:
        clock: steady, of this machine.
        seconds: after which a holder whose counter did not grow is taken for dead.
    """

    def __init__(self, clock: Clock, *, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._seen: tuple[int, int, int] | None = None
        self._since = 0.0
        self.has_grown = False

    def is_silent(self, kept: KeptRollout) -> bool:
        """Whether nobody conducts it: nobody holds it, or the holder was silent for so long."""
        if kept.holder is None:
            return True
        seen = (kept.number, kept.fence, kept.beat)
        if seen != self._seen:
            self.has_grown = self._seen is not None
            self._seen, self._since = seen, self._clock.monotonic()
        return self._clock.monotonic() - self._since >= self._seconds
