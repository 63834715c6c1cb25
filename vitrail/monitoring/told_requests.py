"""Requests whose truth was told, one by one: what feedback images are joined with."""

from collections.abc import Sequence
from typing import NamedTuple

from vitrail.basics.database import Database
from vitrail.monitoring.counted_truths import attributes_of
from vitrail.monitoring.truth_figures import Attributes


class ToldRequest(NamedTuple):
    """A request and its truth.

    Attributes:
        request_id: that the answer told.
        truth: name of a class.
        attributes: that the request carried.
        at: when the truth came, seconds since 1970.
    """

    request_id: str
    truth: str
    attributes: Attributes
    at: float


def told_requests(database: Database, arms: Sequence[str], *, since: float, most: int) -> list[ToldRequest]:
    """The latest requests whose truth came, the last one first; each once, also where several arms answered it.

    Args:
        database: of the servers, with their figures.
        arms: whose answers.
        since: answers given before are left out, seconds since 1970.
        most: how many at most.

    Raises:
        SystemFault: the database cannot be reached.
        DamagedError: a row is not as it was written.
    """
    import sqlalchemy as sql

    names = ("request_id", "truth", "attributes", "truth_at", "arm", "at")
    table = sql.table("figures_answers", *(sql.column(name) for name in names))
    wanted = sql.and_(table.c.arm.in_(list(arms)), table.c.at >= since, table.c.truth.is_not(None))
    columns = (table.c.request_id, table.c.truth, table.c.attributes, table.c.truth_at)
    asked = sql.select(*columns).where(wanted).order_by(table.c.truth_at.desc(), table.c.request_id).limit(most)
    with database.reading() as connection:
        rows = connection.execute(asked).all()
    found: dict[str, ToldRequest] = {}
    for request, truth, text, at in rows:
        found.setdefault(request, ToldRequest(request, truth, attributes_of(text), at))
    return list(found.values())
