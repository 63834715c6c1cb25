"""Figures, answers and truths in a database that several servers share."""

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vitrail.basics.database import Connection, Database
from vitrail.basics.errors import DamagedError
from vitrail.basics.printable import encodable
from vitrail.monitoring.tally import Tally
from vitrail.monitoring.truth import AnsweredRequest, ToldTruth
from vitrail.monitoring.truth_figures import JudgedAnswer

PART, VERSION = "figures", 1
_PIECE = 500
_REMOVED_AT_ONCE = 5000


class KeptSlot(NamedTuple):
    """What a server counted in a slot.

    Attributes:
        source: which process of which server.
        arm: its name.
        slot: number of the slot (`slots.slot_at`).
        batch: how many times that process had written by then.
        tally: what it counted.
    """

    source: str
    arm: str
    slot: int
    batch: int
    tally: Tally


@dataclass(frozen=True)
class FiguresTables:
    """Tables of SQLAlchemy, which is imported late; `metadata` is what they belong to."""

    metadata: Any
    slots: Any
    answers: Any


@functools.cache
def figures_tables() -> FiguresTables:
    """The tables, made once."""
    import sqlalchemy as sql

    metadata = sql.MetaData()
    slots = sql.Table(
        "figures_slots", metadata,
        sql.Column("source", sql.Text, primary_key=True), sql.Column("arm", sql.Text, primary_key=True),
        sql.Column("slot", sql.BigInteger, primary_key=True, autoincrement=False, index=True),
        sql.Column("batch", sql.BigInteger, nullable=False), sql.Column("tally", sql.Text, nullable=False),
    )  # fmt: skip
    answers = sql.Table(
        "figures_answers", metadata,
        sql.Column("request_id", sql.Text, primary_key=True), sql.Column("arm", sql.Text, primary_key=True),
        sql.Column("server", sql.Text, nullable=False), sql.Column("at", sql.Double, nullable=False, index=True),
        sql.Column("answer", sql.Text, nullable=False), sql.Column("attributes", sql.Text, nullable=False),
        sql.Column("truth", sql.Text), sql.Column("truth_at", sql.Double),
        sql.Column("recorded_at", sql.Double, index=True),
    )  # fmt: skip
    sql.Index("figures_answers_by_arm", answers.c.arm, answers.c.truth)
    return FiguresTables(metadata, slots, answers)


class FiguresStore:
    """Reads and writes figures; every method is one or a few short transactions, and may raise a `SystemFault`.

    Args:
        database: opened.
        server: this server's name; two processes of one name do not disturb each other.
        source: this process, a name that no other has.
    """

    def __init__(self, database: Database, *, server: str, source: str) -> None:
        self.database = database
        self._server, self._source = server, source
        self._tables = figures_tables()
        self._batch = 0

    def prepare(self) -> None:
        """Create the tables where they are not there yet; see `Database.prepare` for the errors."""
        self.database.prepare(PART, VERSION, self._tables.metadata)

    def write_slots(self, slots: Sequence[tuple[str, int, Tally]]) -> None:
        """Write own slots, as (arm, slot, tally); one that is written twice takes the place of the first."""
        if not slots:
            return
        # A number is never used twice: an attempt that seemed to fail may have been written, and read by others.
        self._batch += 1
        table = self._tables.slots
        rows = [
            {
                "source": self._source, "arm": encodable(arm), "slot": slot, "batch": self._batch,
                "tally": json.dumps(tally.as_json(), separators=(",", ":")),
            }
            for arm, slot, tally in slots
        ]  # fmt: skip
        with self.database.writing() as connection:
            self._put(connection, table, rows, instead=["batch", "tally"])

    def slots_of_others(self, *, from_slot: int, seen: Mapping[str, int]) -> list[KeptSlot]:
        """What other processes have written since.

        Args:
            from_slot: older ones are left out.
            seen: by source, the last batch that was read.
        """
        import sqlalchemy as sql

        table, found = self._tables.slots, []
        others = sql.and_(table.c.slot >= from_slot, table.c.source != self._source)
        with self.database.reading() as connection:
            newest = sql.select(table.c.source, sql.func.max(table.c.batch)).where(others).group_by(table.c.source)
            for source, batch in connection.execute(newest).all():
                if batch > seen.get(source, 0):
                    since = sql.and_(others, table.c.source == source, table.c.batch > seen.get(source, 0))
                    rows = connection.execute(sql.select(table).where(since).order_by(table.c.slot))
                    found += [KeptSlot(row.source, row.arm, row.slot, row.batch, read_tally(row)) for row in rows]
        return found

    def write_answers(self, answers: Sequence[AnsweredRequest]) -> None:
        """Write what was answered; never who asked, and nothing of the image."""
        if not answers:
            return
        rows = [
            {**each._asdict(), "server": self._server, "attributes": json.dumps(each.attributes)} for each in answers
        ]
        with self.database.writing() as connection:
            self._put(connection, self._tables.answers, rows, instead=[])

    def write_truths(self, told: Mapping[str, ToldTruth], *, now: float) -> dict[str, list[JudgedAnswer]]:
        """Write truths by request.

        Returns:
            The answers that they are about, by request; those that nobody answered are not among them.
        """
        import sqlalchemy as sql

        table, found, keys = self._tables.answers, dict[str, list[JudgedAnswer]](), list(told)
        for start in range(0, len(keys), _PIECE):
            piece = keys[start : start + _PIECE]
            with self.database.writing() as connection:
                rows = connection.execute(sql.select(table).where(table.c.request_id.in_(piece))).all()
                changes = [
                    {"key": row.request_id, "told": told[row.request_id].truth,
                     "first": told[row.request_id].at if row.truth_at is None else row.truth_at, "now": now}
                    for row in rows if row.truth != told[row.request_id].truth
                ]  # fmt: skip
                if changes:
                    self._update_truths(connection, changes)
            for row in rows:
                first = told[row.request_id].at if row.truth_at is None else row.truth_at
                found.setdefault(row.request_id, []).append(_judged(row, first, told[row.request_id].truth))
        return found

    def _put(self, connection: Connection, table: Any, rows: list[dict[str, Any]], *, instead: list[str]) -> None:
        """Insert rows; of one that is there, the columns that are named take the new values."""
        import sqlalchemy as sql

        insert, parameters = self.database.insert(table), rows
        if self.database.kind == "postgresql":
            # All rows in one JSON: its driver would send them one by one, at eight times the cost.
            columns = [sql.column(each.name, each.type) for each in table.columns if each.name in rows[0]]
            given = sql.func.json_to_recordset(sql.cast(sql.bindparam("rows", type_=sql.Text), sql.JSON))
            derived = given.table_valued(*columns, name="given").render_derived(with_types=True)
            insert = insert.from_select([each.name for each in columns], sql.select(derived))
            parameters = [{"rows": json.dumps(rows)}]
        if instead:
            replaced = {name: insert.excluded[name] for name in instead}
            insert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)
        else:
            insert = insert.on_conflict_do_nothing()
        connection.execute(insert, parameters)

    def _update_truths(self, connection: Connection, changes: list[dict[str, Any]]) -> None:
        import sqlalchemy as sql

        table = self._tables.answers
        update = sql.update(table).where(table.c.request_id == sql.bindparam("key"))
        values: dict[str, Any] = {
            "truth": sql.bindparam("told"),
            "truth_at": sql.bindparam("first"),
            "recorded_at": sql.bindparam("now"),
        }
        connection.execute(update.values(values), changes)

    def truths_since(self, recorded_at: float, *, most: int) -> list[tuple[str, JudgedAnswer]]:
        """Answers whose truth was written since, by any server, as (request, answer); the latest where many."""
        import sqlalchemy as sql

        table = self._tables.answers
        wanted = sql.select(table).where(table.c.recorded_at >= recorded_at)
        with self.database.reading() as connection:
            rows = connection.execute(wanted.order_by(table.c.recorded_at.desc()).limit(most)).all()
        return [(row.request_id, _judged(row, row.truth_at, row.truth)) for row in reversed(rows)]

    def remove_old(self, *, slots_before: int, answers_before: float) -> None:
        """Remove older rows, a few thousand at a time, so that nobody waits long for the lock."""
        self._remove(self._tables.slots, self._tables.slots.c.slot, slots_before)
        self._remove(self._tables.answers, self._tables.answers.c.at, answers_before)

    def _remove(self, table: Any, column: Any, before: float | int) -> None:
        import sqlalchemy as sql

        end: float | int | None = before
        while end is not None:
            with self.database.writing() as connection:
                old = sql.select(column).where(column < before).order_by(column)
                end = connection.execute(old.limit(1).offset(_REMOVED_AT_ONCE)).scalar()
                connection.execute(sql.delete(table).where(column < before if end is None else column <= end))


def _judged(row: Any, at: float, truth: str) -> JudgedAnswer:
    with _damage_named(row, row.server):
        attributes = tuple((str(name), str(value)) for name, value in json.loads(row.attributes))
        return JudgedAnswer(at, row.arm, row.answer, truth, attributes)


def read_tally(row: Any) -> Tally:
    """The tally of a row of slots.

    Raises:
        DamagedError: it cannot be read.
    """
    with _damage_named(row, row.source):
        return Tally.from_json(json.loads(row.tally))


@contextlib.contextmanager
def _damage_named(row: Any, writer: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"a row of {row.arm!r} that {writer} wrote is damaged: {error}",
            hint="remove that row from the database, or wait until it is too old to matter",
        ) from error
