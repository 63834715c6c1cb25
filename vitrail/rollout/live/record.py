"""The record of a rollout: every tick with what it looked at, and every order; nothing in it is ever changed.

A look takes about 1.5 kB; one at a shadow of 100 classes 8 kB. With one every five seconds a day takes 25 MB.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from vitrail.basics.database import Connection, Database
from vitrail.rollout.evidence import Evidence
from vitrail.rollout.live.rollout_tables import rollout_tables

_AT_ONCE = 500
"""Lines: a day of looks every five seconds has 17,280."""


@dataclass(frozen=True)
class RecordLine:
    """One line.

    Attributes:
        at: seconds since 1970.
        elapsed: seconds since the tick before.
        outcome: of the tick, or which order.
        place: title of the phase in which it was.
        sentences: why, with the numbers.
        evidence: that the tick looked at; None: it was an order.
        by: who gave the order; None: it was a tick.
        why: they gave it, in their words.
        position: from 1 on, without a gap; 0: it is not written yet.
    """

    at: float
    elapsed: float
    outcome: str
    place: str
    sentences: tuple[str, ...]
    evidence: Evidence | None = None
    by: str | None = None
    why: str = ""
    position: int = 0


def add_line(connection: Connection, number: int, line: RecordLine) -> None:
    """Write a line, in the transaction that changes the rollout of that number."""
    import sqlalchemy as sql

    tables = rollout_tables()
    this = tables.rollouts.c.number == number
    connection.execute(sql.update(tables.rollouts).where(this).values(looks=tables.rollouts.c.looks + 1))
    position = connection.execute(sql.select(tables.rollouts.c.looks).where(this)).scalar()
    values = {
        "rollout": number, "position": position, "at": line.at, "elapsed": line.elapsed, "outcome": line.outcome,
        "place": line.place, "sentences": json.dumps(line.sentences), "by": line.by, "why": line.why,
        "evidence": None if line.evidence is None else json.dumps(line.evidence.as_json(), separators=(",", ":")),
    }  # fmt: skip
    connection.execute(sql.insert(tables.looks).values(values))


def recorded(database: Database, number: int) -> Iterator[RecordLine]:
    """All lines of a rollout, oldest first."""
    import sqlalchemy as sql

    table, position = rollout_tables().looks, 0
    while True:
        asked = sql.select(table).where(table.c.rollout == number, table.c.position > position)
        with database.reading() as connection:
            rows = connection.execute(asked.order_by(table.c.position).limit(_AT_ONCE)).all()
        if not rows:
            return
        for row in rows:
            evidence = None if row.evidence is None else Evidence.from_json(json.loads(row.evidence))
            yield RecordLine(
                row.at, row.elapsed, row.outcome, row.place, tuple(json.loads(row.sentences)), evidence, row.by,
                row.why, row.position,
            )  # fmt: skip
        position = rows[-1].position
