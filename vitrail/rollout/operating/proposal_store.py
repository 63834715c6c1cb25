"""Where proposals are kept: a history that only ever grows, in the database of the servers.

A line has a position, and a position is taken once: of two loops that would write the next line of a proposal one is
told that the other was quicker, and nothing is lost or done twice.
"""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from vitrail.basics.database import Connection, Database, DatabaseConflict
from vitrail.basics.errors import InputError
from vitrail.rollout.operating.proposals import NEXT_STATES, LineKind, Proposal, ProposalLine, ProposalState
from vitrail.rollout.operating.triggers import Trigger

_PART, _VERSION = "proposals", 1
_TRIES = 30
_CLOSED = ("declined",)


class ProposalStore:
    """Opens proposals and writes their lines; every method may raise a `SystemFault`.

    Args:
        database: of the servers.
        clock: seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        self._is_prepared = False

    def open(
        self, trigger: Trigger, *, name: str, version: str, digest: str, evidence: Mapping[str, Any],
        again: bool = False,
    ) -> Proposal | None:  # fmt: skip
        """Open a proposal, unless there is one about the same of the same package.

        Args:
            trigger: why.
            name: of the model.
            version: that should be replaced.
            digest: of its package.
            evidence: plain values; see `Proposal`.
            again: whether one that was declined may be followed by a new one.

        Returns:
            The new one; None where there is one already.
        """
        row = {"name": name, "kind": trigger.kind, "about": trigger.about, "version": version, "digest": digest,
               "evidence": json.dumps(dict(evidence), allow_nan=False)}  # fmt: skip

        def write(connection: Connection) -> int | None:
            import sqlalchemy as sql

            table = _tables().proposals
            there = [each for each in _read(connection, name) if each.digest == digest and each.key == trigger_key]
            if any(not (again and each.state in _CLOSED) for each in there):
                return None
            number = int(connection.execute(sql.select(sql.func.max(table.c.number))).scalar() or 0) + 1
            connection.execute(sql.insert(table).values(number=number, **row))
            self._add(connection, number, 1, "state", "vitrail operate", {"state": "proposed"})
            return number

        trigger_key = (trigger.kind, trigger.about)
        number = self._written(write)
        return None if number is None else self.proposal(number)

    def proposal(self, number: int) -> Proposal:
        """One proposal.

        Raises:
            InputError: there is none of that number.
        """
        self._prepare()
        with self._database.reading() as connection:
            found = _read(connection, number=number)
        if not found:
            raise InputError(f"there is no proposal {number}", hint="vitrail operate status")
        return found[0]

    def proposals(self, name: str) -> list[Proposal]:
        """All of a model, oldest first."""
        self._prepare()
        with self._database.reading() as connection:
            return _read(connection, name)

    def advance(self, proposal: Proposal, state: ProposalState, *, by: str, facts: Mapping[str, Any]) -> Proposal:
        """Write that a proposal came to its next state.

        Args:
            proposal: as it was read; where it has gone on since, nothing is written.
            state: the next one.
            by: who.
            facts: what was made, plain values.

        Raises:
            InputError: this state does not follow the one that it has.
            DatabaseConflict: somebody else was quicker.
        """
        if state not in NEXT_STATES[proposal.state]:
            follows = ", ".join(NEXT_STATES[proposal.state]) or "nothing"
            raise InputError(
                f"proposal {proposal.number} is {proposal.state}, which is not followed by {state}",
                hint=f"what may follow: {follows}",
            )
        return self._next(proposal, "state", by, {"state": state, **facts})

    def tell(self, proposal: Proposal, kind: LineKind, *, by: str, why: str) -> Proposal:
        """Write a line that changes no state; see `ProposalLine`.

        Raises:
            DatabaseConflict: somebody else was quicker.
        """
        return self._next(proposal, kind, by, {"why": why})

    def _next(self, proposal: Proposal, kind: LineKind, by: str, facts: Mapping[str, Any]) -> Proposal:
        import sqlalchemy as sql

        self._prepare()
        table = _tables().lines
        with self._database.writing() as connection:
            last = sql.select(sql.func.max(table.c.position)).where(table.c.number == proposal.number)
            if connection.execute(last).scalar() != proposal.position:
                raise DatabaseConflict(
                    f"proposal {proposal.number} has gone on meanwhile",
                    hint=f"vitrail operate status {proposal.number}",
                )
            self._add(connection, proposal.number, proposal.position + 1, kind, by, facts)
        return self.proposal(proposal.number)

    def _add(
        self, connection: Connection, number: int, position: int, kind: LineKind, by: str, facts: Mapping[str, Any]
    ) -> None:
        import sqlalchemy as sql

        row = {"number": number, "position": position, "kind": kind, "by": by, "at": self._clock(),
               "facts": json.dumps(dict(facts), allow_nan=False)}  # fmt: skip
        connection.execute(sql.insert(_tables().lines).values(row))

    def _prepare(self) -> None:
        if not self._is_prepared:
            self._database.prepare(_PART, _VERSION, _tables().metadata)
            self._is_prepared = True

    def _written(self, write: Callable[[Connection], Any]) -> Any:
        self._prepare()
        for attempt in range(_TRIES):
            try:
                with self._database.writing() as connection:
                    return write(connection)
            except DatabaseConflict:
                if attempt == _TRIES - 1:
                    raise
        return None


def _read(connection: Connection, name: str | None = None, *, number: int | None = None) -> list[Proposal]:
    import sqlalchemy as sql

    tables = _tables()
    table, lines = tables.proposals, tables.lines
    columns = [table.c[each] for each in ("number", "name", "kind", "about", "version", "digest", "evidence")]
    wanted = table.c.name == name if number is None else table.c.number == number
    rows = connection.execute(sql.select(*columns).where(wanted).order_by(table.c.number)).all()
    numbers = [row.number for row in rows]
    asked = sql.select(lines).where(lines.c.number.in_(numbers)).order_by(lines.c.number, lines.c.position)
    said: dict[int, list[ProposalLine]] = {each: [] for each in numbers}
    for row in connection.execute(asked):
        said[row.number].append(ProposalLine(row.position, row.kind, row.by, row.at, json.loads(row.facts)))
    return [
        Proposal(
            row.number, row.name, row.kind, row.about, row.version, row.digest, json.loads(row.evidence),
            tuple(said[row.number]),
        )
        for row in rows
    ]  # fmt: skip


class _Tables:
    def __init__(self) -> None:
        import sqlalchemy as sql

        self.metadata = sql.MetaData()
        text = functools.partial(sql.Column, type_=sql.Text, nullable=False)
        self.proposals = sql.Table(
            "proposals", self.metadata, sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
            text("name"), text("kind"), text("about"), text("version"), text("digest"), text("evidence"),
        )  # fmt: skip
        self.lines = sql.Table(
            "proposal_lines", self.metadata,
            sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
            sql.Column("position", sql.Integer, primary_key=True, autoincrement=False), text("kind"), text("by"),
            sql.Column("at", sql.Double, nullable=False), text("facts"),
        )  # fmt: skip


@functools.cache
def _tables() -> _Tables:
    return _Tables()
