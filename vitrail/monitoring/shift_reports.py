"""What every model process says of shift, in a database that servers share: one row for each life of a process."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitrail.basics.database import Database
from vitrail.basics.printable import encodable

_PART, _VERSION = "shift", 1


@dataclass(frozen=True)
class ShiftReport:
    """Where the stream test of one model process stands; a process that is begun anew is another stream.

    Attributes:
        source: process of a server, unique.
        model: its id in the routes.
        life: counted from 1; a model whose process was begun anew has another.
        digest: of the package.
        seen: images.
        unlike: of these.
        p_value: of "nothing has changed", valid at any moment.
    """

    source: str
    model: str
    life: int
    digest: str
    seen: int
    unlike: int
    p_value: float


class ShiftReports:
    """Reads and writes them; every method may raise a `SystemFault`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prepare(self) -> None:
        """Create the table where it is not there yet; see `Database.prepare` for the errors."""
        self._database.prepare(_PART, _VERSION, _table().metadata)

    def write(self, report: ShiftReport) -> None:
        """Write where a stream stands; what stood there of it is replaced."""
        import sqlalchemy as sql

        table = _table()
        key = {"source": encodable(report.source), "model": encodable(report.model), "life": report.life}
        values = {"digest": report.digest, "seen": report.seen, "unlike": report.unlike, "p_value": report.p_value}
        same = sql.and_(*(table.c[name] == value for name, value in key.items()))
        with self._database.writing() as connection:
            if connection.execute(sql.update(table).where(same).values(values)).rowcount:
                return
            last = connection.execute(sql.select(sql.func.max(table.c.number))).scalar() or 0
            connection.execute(sql.insert(table).values(number=last + 1, **key, **values))

    def of_package(self, digest: str) -> list[ShiftReport]:
        """All streams of a package, in the order in which they began."""
        import sqlalchemy as sql

        table = _table()
        names = ("source", "model", "life", "digest", "seen", "unlike", "p_value")
        asked = sql.select(*(table.c[name] for name in names)).where(table.c.digest == digest).order_by(table.c.number)
        with self._database.reading() as connection:
            return [ShiftReport(*row) for row in connection.execute(asked)]


class ShiftKeeper:
    """Writes what the models of a server say of shift, where there is something new.

    Args:
        database: is connected when it is first needed.
    """

    def __init__(self, database: Database) -> None:
        self._reports, self._is_prepared = ShiftReports(database), False
        self._written: dict[str, ShiftReport] = {}

    def write(self, source: str, states: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str]) -> None:
        """Write what changed. A stream that has seen less than before, or is of another package, is a new one.

        Args:
            source: process of a server, unique.
            states: by model, as `ShiftWatch.state` says.
            digests: of the packages, by model; a model of which none is known is left out.
        """
        if not self._is_prepared:
            self._reports.prepare()
            self._is_prepared = True
        for model, state in states.items():
            digest, before = digests.get(model), self._written.get(model)
            if not digest or not state.get("seen"):
                continue
            life = 1 if before is None else before.life + (state["seen"] < before.seen or digest != before.digest)
            now = ShiftReport(source, model, life, digest, state["seen"], state["unlike"], float(state["p_value"]))
            if now != before:
                self._reports.write(now)
                self._written[model] = now


@functools.cache
def _table() -> Any:
    import sqlalchemy as sql

    whole = functools.partial(sql.Column, type_=sql.BigInteger, nullable=False)
    return sql.Table(
        "shift_reports", sql.MetaData(),
        sql.Column("number", sql.BigInteger, primary_key=True, autoincrement=False),
        sql.Column("source", sql.Text, nullable=False), sql.Column("model", sql.Text, nullable=False), whole("life"),
        sql.Column("digest", sql.Text, nullable=False, index=True), whole("seen"), whole("unlike"),
        sql.Column("p_value", sql.Double, nullable=False), sql.UniqueConstraint("source", "model", "life"),
    )  # fmt: skip
