"""What every model process says of shift, in a database that servers share: one row for each life of a process."""

import functools
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
