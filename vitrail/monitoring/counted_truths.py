"""Answers whose truth came, counted by the database: by window, attributes, answer and truth."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from vitrail.basics.database import Database
from vitrail.basics.errors import DamagedError
from vitrail.monitoring.truth_figures import Attributes


class CountedTruths(NamedTuple):
    """Answers that are alike.

    Attributes:
        window: in which their truths came, from 0 on.
        attributes: that the requests carried.
        answer: name of a class.
        truth: likewise.
        times: how many.
    """

    window: int
    attributes: Attributes
    answer: str
    truth: str
    times: int


def counted_truths(
    database: Database, arms: Sequence[str], *, since: float, window_seconds: float
) -> list[CountedTruths]:
    """What is known of an arm's answers, in the order of the windows.

    Args:
        database: of the servers, with their figures (`FiguresStore.prepare`).
        arms: whose answers.
        since: answers given before are left out, seconds since 1970; the first window begins here.
        window_seconds: length of a window.

    Raises:
        SystemFault: the database cannot be reached.
        DamagedError: a row is not as it was written.
    """
    import sqlalchemy as sql

    names = ("arm", "at", "truth_at", "attributes", "answer", "truth")
    table = sql.table("figures_answers", *(sql.column(name) for name in names))
    place = (table.c.truth_at - since) / window_seconds
    # SQLite may be built without `floor`, and cuts off where PostgreSQL rounds.
    down = sql.func.floor(place) if database.kind == "postgresql" else sql.cast(place, sql.Integer)
    window = down.label("window_number")
    wanted = sql.and_(table.c.arm.in_(list(arms)), table.c.at >= since, table.c.truth.is_not(None))
    told = sql.select(window, table.c.attributes, table.c.answer, table.c.truth).where(wanted).subquery()
    counted = sql.select(*told.c, sql.func.count()).group_by(*told.c)
    with database.reading() as connection:
        rows = connection.execute(counted).all()
    found = [CountedTruths(max(0, int(at)), attributes_of(text), *rest) for at, text, *rest in rows]
    return sorted(found)


def attributes_of(text: str) -> Attributes:
    """What a request carried, from how it is kept.

    Raises:
        DamagedError: it is not as it was written.
    """
    try:
        return tuple((str(name), str(value)) for name, value in json.loads(text))
    except (ValueError, TypeError) as error:
        raise DamagedError(
            f"the attributes of an answer are damaged: {error}", hint="remove that row from figures_answers"
        ) from error
