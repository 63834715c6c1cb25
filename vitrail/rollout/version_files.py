"""Where the packages of a version store lie: said once, and kept in its database for whoever opens it."""

from pathlib import Path

from vitrail.basics.database import Database
from vitrail.basics.errors import InputError
from vitrail.rollout.version_records import version_tables

_FILES = "files"


def place_of_files(database: Database, given: str | None) -> str:
    """The folder or URL of the packages.

    Args:
        database: of the version store; its tables are there.
        given: what somebody says now; None: what was said before, else `versions` beside SQLite's file.

    Raises:
        InputError: another place was said before; or none, and the database is no file that it could be beside.
    """
    import sqlalchemy as sql

    table, asked_for = version_tables().settings, None if given is None else _absolute(given)
    asked = sql.select(table.c.value).where(table.c.name == _FILES)
    with database.reading() as connection:
        found = connection.execute(asked).scalar()
    if found is None and asked_for is not None:
        with database.writing() as connection:
            row = database.insert(table).values(name=_FILES, value=asked_for)
            connection.execute(row.on_conflict_do_nothing())
            found = connection.execute(asked).scalar()
    if found is not None and asked_for not in (None, found):
        raise InputError(
            f"{database.shown} keeps its packages at {found}, and {asked_for} was given",
            hint="leave it out; another place needs another store",
        )
    if found is not None:
        return str(found)
    if database.address.path is None:
        raise InputError(
            f"{database.shown} does not say yet where packages are kept",
            hint="say it once: --files /shared/versions, or a URL such as s3://bucket/versions",
        )
    return str(database.address.path.parent / "versions")  # not kept: both may be moved together


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).expanduser().absolute())
