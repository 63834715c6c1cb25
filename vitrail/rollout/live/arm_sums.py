"""What servers counted of arms since a phase began: read piece by piece, each row once, whichever clock wrote it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitrail.basics.database import Connection, Database
from vitrail.monitoring.figures_store import figures_tables, read_tally
from vitrail.monitoring.slots import HISTORY_SLOTS
from vitrail.monitoring.tally import Tally

Watermark = Mapping[str, Mapping[str, int]]
"""By source and arm, the highest slot that was written when counting began."""


class ArmSums:
    """Sums of arms above a watermark.

    A slot has the number that its server's clock gave it, so it is compared with no clock but that server's own: it is
    of the phase if it is above what the same process had written when the phase began. A process that was not there
    then belongs to the phase as a whole.

    Args:
        database: of the servers.
        arms: that are counted.
        watermark: where counting began.
    """

    def __init__(self, database: Database, arms: Sequence[str], watermark: Watermark) -> None:
        self._database, self._arms, self._watermark = database, tuple(arms), watermark
        self._sums = {arm: Tally() for arm in arms}
        self._kept: dict[tuple[str, str, int], Tally] = {}
        self._newest: dict[str, int] = {}
        self._batches: dict[tuple[str, str], int] = {}

    def read(self) -> dict[str, Tally]:
        """The sums by arm, with what came since the last time.

        Raises:
            DamagedError: a row cannot be read.
            SystemFault: the database is gone.
        """
        with self._database.reading() as connection:
            rows = [row for source in sources(connection) for row in self._new_rows(connection, source)]
        for row in rows:
            self._take(row)
        self._forget()
        return dict(self._sums)

    def _new_rows(self, connection: Connection, source: str) -> list[Any]:
        import sqlalchemy as sql

        table, before = figures_tables().slots, self._watermark.get(source, {})
        found, newest = list[Any](), self._newest.get(source)
        for arm in self._arms:
            first = before.get(arm, -1)
            if newest is not None:  # what a server could not write for an hour is written then
                first = max(first, newest - HISTORY_SLOTS)
            place = sql.and_(table.c.source == source, table.c.arm == arm, table.c.slot > first)
            new = table.c.batch > self._batches.get((source, arm), 0)
            found += connection.execute(sql.select(table).where(place, new)).all()
        return found

    def _take(self, row: Any) -> None:
        """One that is written again takes the place of the first."""
        key, tally = (row.source, row.arm, row.slot), _counts(read_tally(row))
        before = self._kept.get(key)
        if before is not None:
            self._sums[row.arm].add(_negative(before))
        self._sums[row.arm].add(tally)
        self._kept[key] = tally
        self._newest[row.source] = max(row.slot, self._newest.get(row.source, row.slot))
        whose = (row.source, row.arm)
        self._batches[whose] = max(row.batch, self._batches.get(whose, 0))

    def _forget(self) -> None:
        """Slots that are not written again."""
        for key in [key for key in self._kept if key[2] <= self._newest[key[0]] - HISTORY_SLOTS]:
            del self._kept[key]


def watermark_now(database: Database, arms: Sequence[str]) -> dict[str, dict[str, int]]:
    """By source and arm, the highest slot that is written now."""
    import sqlalchemy as sql

    table, found = figures_tables().slots, dict[str, dict[str, int]]()
    with database.reading() as connection:
        for source in sources(connection):
            for arm in arms:
                place = sql.and_(table.c.source == source, table.c.arm == arm)
                slot = connection.execute(sql.select(sql.func.max(table.c.slot)).where(place)).scalar()
                if slot is not None:
                    found.setdefault(source, {})[arm] = int(slot)
    return found


def sources(connection: Connection) -> Iterator[str]:
    """All processes that have written figures, from one to the next in the order of the key: nothing else is read."""
    import sqlalchemy as sql

    source = figures_tables().slots.c.source
    after: str | None = ""
    while after is not None:
        after = connection.execute(sql.select(sql.func.min(source)).where(source > after)).scalar()
        if after is not None:
            yield after


def _counts(tally: Tally) -> Tally:
    """Of a tally what a rollout compares."""
    return Tally(successes=tally.successes, failures=tally.failures, times=tally.times)


def _negative(tally: Tally) -> Tally:
    times = {bucket: -n for bucket, n in tally.times.items()}
    return Tally(successes=-tally.successes, failures=-tally.failures, times=times)
