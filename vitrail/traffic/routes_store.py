"""Route revisions in a database that several servers share; nothing in it is ever changed, only added to.

A server holds the revision that it serves in memory and looks here now and then: no request waits for a database.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from vitrail.basics.database import Connection, Database, DatabaseConflict
from vitrail.basics.errors import InputError
from vitrail.basics.strict_json import strict_json
from vitrail.traffic.plain_values import known_names
from vitrail.traffic.route_records import Confirmation, KnownModel, WrittenRoutes, route_tables
from vitrail.traffic.routes import COMMAND_LINE, Routes

_VERSION = 1


class RoutesStore:
    """The revisions, the models that they name, and which server serves by which.

    Args:
        database: is connected when it is first needed.
        clock: seconds since 1970.

    Every method raises a `SystemFault` where the database is gone, locked or silent.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._is_prepared = False

    def latest(self) -> Routes | None:
        """The revision that holds; None: none was written yet.

        Raises:
            InputError: what is written there are no routes.
        """
        return self._one(None)

    def last_asked(self) -> Routes | None:
        """The last revision that was written for a command line: what a server was asked for then."""
        return self._one(COMMAND_LINE)

    def latest_revision(self) -> int | None:
        """The number of the revision that holds: what is looked at often."""
        import sqlalchemy as sql

        self._prepare()
        with self._database.reading() as connection:
            return connection.execute(sql.select(sql.func.max(route_tables().revisions.c.revision))).scalar()

    def write(
        self, routes: Routes, *, expected: int | None, models: Sequence[KnownModel] = (),
        still: Callable[[Connection], object] = lambda _: None,
    ) -> None:  # fmt: skip
        """Write the next revision, unless somebody else was quicker.

        Args:
            routes: its revision is the one after `expected`.
            expected: the revision that this one was made from; None: there is none yet.
            models: those among its models that are new, or have another package.
            still: raises, in the same transaction, if whoever writes may not do so any more.

        Raises:
            DatabaseConflict: another revision than `expected` holds by now; nothing was written.
            InputError: it names a model that is not known, or has another number.
        """
        import sqlalchemy as sql

        if routes.revision != (expected or 0) + 1:
            raise InputError(
                f"revision {routes.revision} was to be written after revision {expected}",
                hint="a revision is the one before it and 1",
            )
        self._prepare()
        revisions, values = route_tables().revisions, {
            "revision": routes.revision, "written": self._clock(), "by": routes.by, "note": routes.note,
            "routes": json.dumps(routes.as_json()),
        }  # fmt: skip
        try:
            with self._database.writing() as connection:
                still(connection)
                found = connection.execute(sql.select(sql.func.max(revisions.c.revision))).scalar()
                if found != expected:
                    raise self._overtaken(routes, found)
                self._add_models(connection, models)
                self._refuse_unknown_models(connection, routes)
                connection.execute(sql.insert(revisions).values(values))
        except DatabaseConflict as conflict:
            if conflict.__cause__ is None:
                raise
            raise self._overtaken(routes, self.latest_revision()) from conflict

    def history(self, most: int) -> list[WrittenRoutes]:
        """The latest revisions, the last one first.

        Raises:
            InputError: what is written there are no routes.
        """
        import sqlalchemy as sql

        self._prepare()
        table = route_tables().revisions
        asked = sql.select(table.c.routes, table.c.written).order_by(table.c.revision.desc()).limit(most)
        with self._database.reading() as connection:
            return [WrittenRoutes(self._read(text), written) for text, written in connection.execute(asked)]

    def add_models(self, models: Sequence[KnownModel]) -> None:
        """Write where packages are; what is known already is not written again."""
        self._prepare()
        with self._database.writing() as connection:
            self._add_models(connection, models)

    def models(self) -> dict[str, KnownModel]:
        """Every model that was ever named, with the package that it has now."""
        self._prepare()
        with self._database.reading() as connection:
            return _models(connection)

    def confirm(self, server: str, revision: int) -> None:
        """Write that a server serves by a revision; once, however often it says so."""
        import sqlalchemy as sql

        self._prepare()
        table = route_tables().confirmations
        with self._database.writing() as connection:
            last = sql.select(table.c.revision).where(table.c.server == server).order_by(table.c.number.desc()).limit(1)
            if connection.execute(last).scalar() != revision:
                connection.execute(sql.insert(table).values(server=server, revision=revision, at=self._clock()))

    def confirmations(self) -> list[Confirmation]:
        """By which revision each server serves, as it said last; servers that are no more are among them."""
        import sqlalchemy as sql

        self._prepare()
        table = route_tables().confirmations
        latest = sql.select(sql.func.max(table.c.number)).group_by(table.c.server)
        asked = sql.select(table.c.server, table.c.revision, table.c.at).where(table.c.number.in_(latest))
        with self._database.reading() as connection:
            return [Confirmation(*row) for row in connection.execute(asked.order_by(table.c.server))]

    def _one(self, by: str | None) -> Routes | None:
        import sqlalchemy as sql

        self._prepare()
        table = route_tables().revisions
        asked = sql.select(table.c.routes).order_by(table.c.revision.desc()).limit(1)
        asked = asked if by is None else asked.where(table.c.by == by)
        with self._database.reading() as connection:
            text = connection.execute(asked).scalar()
        return None if text is None else self._read(text)

    def _prepare(self) -> None:
        if not self._is_prepared:
            self._database.prepare("routes", _VERSION, route_tables().all)
            self._is_prepared = True

    def _read(self, text: str) -> Routes:
        try:
            return Routes.from_json(strict_json(text.encode()))
        except ValueError as error:
            said = error.message if isinstance(error, InputError) else str(error)
            raise InputError(
                f"{self._database.shown}: a revision of its routes cannot be read: {said}",
                hint="it was changed by something else than Vitrail, or written by a newer one",
            ) from None

    def _overtaken(self, routes: Routes, found: int | None) -> DatabaseConflict:
        before = "none" if routes.revision == 1 else f"revision {routes.revision - 1}"
        now = "none" if found is None else f"revision {found}"
        return DatabaseConflict(
            f"{self._database.shown}: the routes were changed meanwhile: {now} holds, {before} was expected",
            hint="look at what holds now, and decide anew",
        )

    def _add_models(self, connection: Connection, models: Sequence[KnownModel]) -> None:
        import sqlalchemy as sql

        known = _models(connection)
        for each in models:
            before = known.get(each.model)
            if before is None or (before.folder, before.digest) != (each.folder, each.digest):
                values = {"model": each.model, "folder": str(each.folder), "digest": each.digest}
                connection.execute(sql.insert(route_tables().models).values(**values, added=self._clock()))

    def _refuse_unknown_models(self, connection: Connection, routes: Routes) -> None:
        known = _models(connection)
        for model in routes.models:
            if model not in known:
                hint = known_names(known) if known else "its package is to be written with the routes"
                raise InputError(f"{self._database.shown} knows no package of the model {model}", hint=hint)


def _models(connection: Connection) -> dict[str, KnownModel]:
    import sqlalchemy as sql

    table = route_tables().models
    latest = sql.select(sql.func.max(table.c.number)).group_by(table.c.model)
    asked = sql.select(table.c.model, table.c.folder, table.c.digest, table.c.added).where(table.c.number.in_(latest))
    rows = connection.execute(asked.order_by(table.c.number))
    return {model: KnownModel(model, Path(folder), digest, added) for model, folder, digest, added in rows}
