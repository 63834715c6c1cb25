"""Answers beside answers and beside truths, counted by the database: none of them is loaded."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from vitrail.basics.database import Database
from vitrail.basics.errors import SystemFault
from vitrail.monitoring.figures_store import figures_tables
from vitrail.rollout.counting import pairs_of_counts
from vitrail.rollout.evidence import Pairs


def pairs_now(database: Database, *, shadow: str, beside: str, classes: Sequence[str]) -> Pairs:
    """The answers of a shadow beside those that another arm gave users to the same requests.

    Args:
        database: of the servers.
        shadow: arm of the candidate; its name belongs to one rollout, so that nothing of an older one is counted.
        beside: the stable arm that is replaced; what another one answered is left out.
        classes: of both models.
    """
    import sqlalchemy as sql

    table = figures_tables().answers
    copy, own = table.alias("copy"), table.alias("own")
    truth = sql.func.coalesce(own.c.truth, copy.c.truth)
    asked = (
        sql.select(own.c.answer, copy.c.answer, truth, sql.func.count())
        .select_from(copy.join(own, sql.and_(own.c.request_id == copy.c.request_id, own.c.arm == beside)))
        .where(copy.c.arm == shadow)
        .group_by(own.c.answer, copy.c.answer, truth)
    )
    alike: Counter[tuple[str, str, str | None]] = Counter()
    with database.reading() as connection:
        for one, other, told, n in connection.execute(asked):
            alike[one, other, told] += n
    return pairs_of_counts(alike, classes=classes)


def judged_now(database: Database, arms: Sequence[str]) -> dict[str, tuple[int, int]]:
    """By arm, how many of its answers have a truth, and how many of these were wrong."""
    import sqlalchemy as sql

    table: Any = figures_tables().answers
    wrong = sql.func.sum(sql.case((table.c.answer != table.c.truth, 1), else_=0))
    asked = sql.select(table.c.arm, sql.func.count(), wrong).where(table.c.arm.in_(arms), table.c.truth.is_not(None))
    with database.reading() as connection:
        rows = connection.execute(asked.group_by(table.c.arm)).all()
    return {arm: (int(n), int(of_these or 0)) for arm, n, of_these in rows}


def index_answers(database: Database) -> None:
    """Let answers be found by their arm where a database was made before this was usual.

    Where it does not succeed (so many answers that it takes longer than a statement may), looks take longer.
    """
    import sqlalchemy as sql

    answers = figures_tables().answers
    wanted = next(each for each in answers.indexes if each.name == "figures_answers_by_arm")
    try:
        with database.writing() as connection:
            if sql.inspect(connection).has_table(answers.name):
                wanted.create(connection, checkfirst=True)
    except SystemFault:
        return
