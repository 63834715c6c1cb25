"""What servers that share a database say of themselves every second or two: their routes, and how each model is."""

import functools
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from vitrail.basics.database import Database
from vitrail.basics.errors import DamagedError

PART, VERSION = "reports", 1
KEPT_SECONDS = 86_400.0
"""A server that has said nothing for so long is not told of any more."""
REMOVE_EVERY = 1000
"""Reports of one source between two looks for old ones."""


@dataclass(frozen=True)
class ModelReport:
    """How one model of a server is.

    Attributes:
        model: its id.
        digest: of the package that was asked for; empty: nobody wrote one.
        state: `ready`; `loading`, also while it is begun anew; `down`: its process could not be begun or loaded.
        healthy: whether users can be sent to it: it is ready, and its breaker is closed.
        why: the same in words.
        ends: how often its process ended by itself, or was ended because it hung, since this server took it up.
        memory_bytes: memory of its process that is in use now, without what it only maps from files; None: not known.
    """

    model: str
    digest: str
    state: Literal["ready", "loading", "down"]
    healthy: bool
    why: str
    ends: int
    memory_bytes: int | None


@dataclass(frozen=True)
class ServerReport:
    """What one process of a server says.

    Attributes:
        server: its name, the same after a restart.
        source: this process of it, a name that no other has.
        beat: grows with every report of this source: a server lives while it grows. No clock is compared.
        revision: of the routes that are in force here; 0: none yet.
        refused: a newer revision that could not be brought into force here; None: there is none.
        refused_why: why, in words.
        models: those that are served, then those that are being loaded or could not be, for a newer revision.
        ended: whether it said good-bye.
    """

    server: str
    source: str
    beat: int
    revision: int
    refused: int | None
    refused_why: str
    models: tuple[ModelReport, ...]
    ended: bool = False


_REPORT = TypeAdapter(ServerReport)


class ServerReports:
    """The last report of every process; every method may raise a `SystemFault`.

    Args:
        database: is connected when it is first needed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_prepared = False

    def prepare(self) -> None:
        """Create the table where it is not there yet; see `Database.prepare` for the errors."""
        self._database.prepare(PART, VERSION, _table().metadata)
        self._is_prepared = True

    def write(self, report: ServerReport) -> None:
        """In the place of the last one of its source; one that is older than that is left out."""
        import sqlalchemy as sql

        self._prepare_once()
        table, now = _table(), self._now()
        values = {
            "source": report.source, "server": report.server, "beat": report.beat, "at": now,
            "report": json.dumps(_REPORT.dump_python(report, mode="json")),
        }  # fmt: skip
        insert = self._database.insert(table).values(values)
        told = {name: insert.excluded[name] for name in values if name != "source"}
        newer = insert.excluded.beat > table.c.beat
        with self._database.writing() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["source"], set_=told, where=newer))
            if report.beat % REMOVE_EVERY == 1:
                connection.execute(sql.delete(table).where(table.c.at < now - KEPT_SECONDS))

    def latest(self) -> list[ServerReport]:
        """Of every source the last one, by server; those of servers that are no more are among them for a day.

        Raises:
            DamagedError: one of them cannot be read.
        """
        found, damage = self.readable()
        if damage is not None:
            raise damage
        return found

    def readable(self) -> tuple[list[ServerReport], DamagedError | None]:
        """Those of `latest` that can be read, and why one of the others cannot; None: all can."""
        import sqlalchemy as sql

        self._prepare_once()
        table, found, damage = _table(), list[ServerReport](), None
        with self._database.reading() as connection:
            rows = connection.execute(sql.select(table).order_by(table.c.server, table.c.source)).all()
        for row in rows:
            try:
                found.append(_read(row))
            except DamagedError as error:
                damage = error
        return found, damage

    def _prepare_once(self) -> None:
        if not self._is_prepared:
            self.prepare()

    def _now(self) -> Any:
        """Seconds since 1970 by the database's clock, which all servers have in common."""
        import sqlalchemy as sql

        if self._database.kind == "postgresql":
            return sql.cast(sql.func.extract("epoch", sql.func.clock_timestamp()), sql.Double)
        return (sql.func.julianday("now") - 2_440_587.5) * 86_400.0


@functools.cache
def _table() -> Any:
    import sqlalchemy as sql

    return sql.Table(
        "server_reports", sql.MetaData(),
        sql.Column("source", sql.Text, primary_key=True), sql.Column("server", sql.Text, nullable=False),
        sql.Column("beat", sql.BigInteger, nullable=False), sql.Column("at", sql.Double, nullable=False),
        sql.Column("report", sql.Text, nullable=False),
    )  # fmt: skip


def _read(row: Any) -> ServerReport:
    try:
        return _REPORT.validate_json(row.report)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise DamagedError(
            f"the report of {row.source} cannot be read: {said}",
            hint="it was changed by something else than Vitrail, or written by a newer one",
        ) from None
