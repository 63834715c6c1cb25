"""Rollouts in the database that the servers share: at most one goes on, and one conductor at a time moves it."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

from vitrail.basics.database import Connection, Database, DatabaseConflict
from vitrail.basics.errors import InputError
from vitrail.basics.printable import printable
from vitrail.rollout.live.kept_rollout import KeptRollout, Memory
from vitrail.rollout.live.record import RecordLine, add_line, recorded
from vitrail.rollout.live.rollout_tables import PART, VERSION, rollout_of, rollout_tables, row_of
from vitrail.rollout.orders import with_order, with_pause, with_resume
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.routes_of import rollout_arms
from vitrail.rollout.state import RolloutState, begun_state, title_of
from vitrail.rollout.version_records import Version
from vitrail.traffic.route_records import route_tables
from vitrail.traffic.routes import Routes

Told = Literal["pause", "resume", "promote", "abort"]


class RolloutStore:
    """Reads rollouts, begins one, and takes orders; what a conductor writes goes through `Claim`.

    Args:
        database: of the servers.
        clock: seconds since 1970, for people.

    Every method raises a `SystemFault` where the database is gone, locked or silent.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock
        self._is_prepared = False

    def current(self) -> KeptRollout | None:
        """The one that goes on, else the last that ended; None: there was none."""
        found = self.rollouts(1)
        return found[0] if found else None

    def rollouts(self, most: int) -> list[KeptRollout]:
        """The latest, the one that goes on first."""
        import sqlalchemy as sql

        self.prepare()
        table = rollout_tables().rollouts
        asked = sql.select(table).order_by(table.c.is_closed, table.c.number.desc()).limit(most)
        with self.database.reading() as connection:
            rows = connection.execute(asked).all()
        return [rollout_of(row) for row in rows]

    def last(self) -> KeptRollout:
        """The one that goes on, else the last that ended.

        Raises:
            InputError: there was none.
        """
        found = self.current()
        if found is None:
            raise InputError(f"{self.database.shown}: no rollout was begun", hint="vitrail rollout start NAME@N")
        return found

    def going_on(self) -> KeptRollout:
        """The one that goes on.

        Raises:
            InputError: there is none.
        """
        found = self.last()
        if found.state.is_over and found.is_closed:
            raise InputError(
                f"no rollout goes on: rollout {found.number} of {found.version} is over: {found.state.result}",
                hint="vitrail rollout start NAME@N",
            )
        return found

    def rollout(self, number: int) -> KeptRollout:
        """One of them.

        Raises:
            InputError: there is none of that number.
        """
        self.prepare()
        with self.database.reading() as connection:
            return self._one(connection, number)

    def begin(
        self, version: Version, base: Routes, *, plan: RolloutSettings, by: str, versions: str,
        replaces: str | None = None, holder: str | None = None,
    ) -> KeptRollout:  # fmt: skip
        """A rollout that stands at its beginning; nothing is changed for anybody yet.

        Args:
            version: that is rolled out.
            base: the routes that hold.
            plan: of the rollout.
            by: who begins it.
            versions: address of the version store.
            replaces: a stable arm; None: the only one.
            holder: who conducts it from its beginning on; None: whoever claims it.

        Raises:
            InputError: another one goes on, other routes hold by now, or these do not allow it.
        """
        import sqlalchemy as sql

        self.prepare()
        table = rollout_tables().rollouts
        try:
            with self.database.writing() as connection:
                # In one statement: each sees its own moment in PostgreSQL, and another one may begin between two.
                latest = sql.select(table).order_by(table.c.is_closed, table.c.number.desc()).limit(1)
                before = connection.execute(latest).first()
                if before is not None and not before.is_closed:
                    raise _is_open(rollout_of(before))
                _refuse_other_routes(connection, base)
                number = 1 if before is None else before.number + 1
                model = version.id.replace("@", "-")
                arms = rollout_arms(base, model, replaces=replaces, number=number)
                now = self.clock()
                kept = KeptRollout(
                    number, secrets.token_hex(8), version.id, model, version.digest, arms.replaces, plan, arms,
                    begun_state(plan, wall=now), None, Memory(), by, now, versions,
                    fence=0 if holder is None else 1, holder=holder,
                )  # fmt: skip
                connection.execute(sql.insert(table).values(row_of(kept)))
        except DatabaseConflict as conflict:  # two at once: the other one has this number
            raise _goes_on(number, "another version") from conflict
        return kept

    def order(self, number: int, kind: Told, *, by: str, why: str, place: str | None = None) -> KeptRollout:
        """Tell a rollout something: it stands in its record, and the next tick obeys.

        Args:
            number: of the rollout.
            kind: what.
            by: who.
            why: in their words.
            place: title of the phase that they saw: a promotion is meant for that one, and not, when it is clicked
                twice or the rollout went on meanwhile, for the next. None: they did not say.

        Raises:
            InputError: it is over, or this cannot be told to it now; in words.
        """
        self.prepare()
        by, why = printable(by), printable(why)
        with self.database.writing() as connection:
            kept = self._one(connection, number, lock=True)
            if kind == "promote" and place not in (None, now := title_of(kept.plan, kept.state)):
                raise InputError(f"the rollout has gone on to {now} meanwhile", hint="look at it, and promote it again")
            state = ordered_state(kept.plan, kept.state, kind, by=by, why=why, wall=self.clock())
            self.write_state(connection, replace(kept, state=state))
            line = RecordLine(
                self.clock(), 0.0, kind, title_of(kept.plan, kept.state), state.decisions[-1].sentences, by=by, why=why
            )
            add_line(connection, number, line)
        return replace(kept, state=state)

    def record(self, number: int) -> Iterator[RecordLine]:
        """The record of a rollout from its beginning: all ticks with what they looked at, and all orders."""
        self.prepare()
        return recorded(self.database, number)

    def prepare(self) -> None:
        """Create the tables where they are not there yet."""
        if not self._is_prepared:
            self.database.prepare(PART, VERSION, rollout_tables().all)
            self._is_prepared = True

    def write_state(self, connection: Connection, kept: KeptRollout, **columns: Any) -> None:
        """Write the state of a row, and other columns of it."""
        import sqlalchemy as sql

        table = rollout_tables().rollouts
        values = {"state": json.dumps(kept.state.as_json()), **columns}
        connection.execute(sql.update(table).where(table.c.number == kept.number).values(**values))

    def _one(self, connection: Connection, number: int, *, lock: bool = False) -> KeptRollout:
        row = locked_row(connection, number) if lock else read_row(connection, number)
        if row is None:
            raise InputError(
                f"{self.database.shown}: there is no rollout {number}",
                hint="vitrail rollout status",
            )
        return rollout_of(row)


def read_row(connection: Connection, number: int) -> Any:
    """The row of a rollout; None: there is none."""
    import sqlalchemy as sql

    table = rollout_tables().rollouts
    return connection.execute(sql.select(table).where(table.c.number == number)).first()


def locked_row(connection: Connection, number: int) -> Any:
    """The same, and nobody else writes it before this transaction ends: SQLite has one writer anyway."""
    import sqlalchemy as sql

    table = rollout_tables().rollouts
    return connection.execute(sql.select(table).where(table.c.number == number).with_for_update()).first()


def ordered_state(
    plan: RolloutSettings, state: RolloutState, kind: Told, *, by: str, why: str, wall: float
) -> RolloutState:
    """The state after an order.

    Raises:
        InputError: it cannot be told now.
    """
    match kind:
        case "pause":
            return with_pause(plan, state, by=by, why=why, wall=wall)
        case "resume":
            return with_resume(plan, state, by=by, why=why, wall=wall)
        case _:
            return with_order(plan, state, kind, by=by, why=why, wall=wall)


def _refuse_other_routes(connection: Connection, base: Routes) -> None:
    """Those that were looked at may be of a rollout that went on then, and has sent its users back since."""
    import sqlalchemy as sql

    found = connection.execute(sql.select(sql.func.max(route_tables().revisions.c.revision))).scalar()
    if found != base.revision:
        raise InputError(
            f"revision {found} of the routes was written while this began on revision {base.revision}",
            hint="start it again",
        )


def _is_open(kept: KeptRollout) -> InputError:
    if not kept.state.is_over:
        return _goes_on(kept.number, kept.version)
    return InputError(
        f"rollout {kept.number} of {kept.version} is over ({kept.state.result}), and its version store is not told yet",
        hint="vitrail rollout conduct says what it waits for",
    )


def _goes_on(number: int, version: str) -> InputError:
    return InputError(
        f"rollout {number} of {version} goes on: one candidate is tried at a time",
        hint="vitrail rollout status; wait for its end, or vitrail rollout abort --why TEXT",
    )
