"""The history of a name's versions: lines are added, in one order that all see; what holds now follows from them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.basics.database import Connection
from vitrail.rollout.version_records import HistoryLine, LineKind, State, version_tables


@dataclass(frozen=True)
class Said:
    """Who said something, when (seconds since 1970), and what (plain values)."""

    by: str
    at: float
    facts: Mapping[str, Any]


def history_of(connection: Connection, name: str) -> list[HistoryLine]:
    """All that happened to versions of a name, oldest first."""
    import sqlalchemy as sql

    table = version_tables().events
    columns = (table.c.position, table.c.number, table.c.kind, table.c.by, table.c.at, table.c.facts)
    rows = connection.execute(sql.select(*columns).where(table.c.name == name).order_by(table.c.position))
    return [
        HistoryLine(position, number, kind, by, at, json.loads(facts)) for position, number, kind, by, at, facts in rows
    ]


def add_line(connection: Connection, name: str, number: int, kind: LineKind, said: Said) -> None:
    """Write the next line; a second writer of the same line gets a `DatabaseConflict` and looks anew."""
    import sqlalchemy as sql

    table = version_tables().events
    last = connection.execute(sql.select(sql.func.max(table.c.position)).where(table.c.name == name)).scalar()
    row = {"name": name, "position": (last or 0) + 1, "number": number, "kind": kind, "by": said.by, "at": said.at,
           "facts": json.dumps(dict(said.facts), allow_nan=False)}  # fmt: skip
    connection.execute(sql.insert(table).values(row))


def state_of(history: Sequence[HistoryLine]) -> State:
    """How far a version came, from the lines about it."""
    found: State = "registered"
    for each in history:
        if each.kind == "state":
            found = each.facts["state"]
    return found


def aliases_of(history: Sequence[HistoryLine]) -> dict[str, int]:
    """The version that each alias means now, from all lines of a name."""
    found: dict[str, int] = {}
    for each in history:
        if each.kind == "alias" and each.facts.get("removed"):
            found.pop(each.facts["alias"], None)
        elif each.kind == "alias":
            found[each.facts["alias"]] = each.number
    return found
