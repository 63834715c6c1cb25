"""The version store: packages under a name and a number that never change, and a history that only ever grows.

What is said of versions is in a database that several processes and machines may share; their files lie on a shelf. A
version is there when its row is: files without a row are no version, and a row is written after its files.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from vitrail.basics.database import Connection, Database, DatabaseConflict, opened_database
from vitrail.basics.errors import InputError, did_you_mean
from vitrail.rollout.package_shelf import PackageShelf, shelf_at
from vitrail.rollout.version_files import place_of_files
from vitrail.rollout.version_history import Said, add_line, aliases_of, history_of, state_of
from vitrail.rollout.version_names import CANDIDATE, PREVIOUS, STABLE, VersionName, refuse_odd_name, version_name
from vitrail.rollout.version_records import NEXT_STATES, HistoryLine, State, Version, version_tables

_SCHEMA, _TRIES = 1, 30
USUAL_STORE = "runs/versions.sqlite"
ENVIRONMENT = "VITRAIL_VERSIONS"
_NEVER_STABLE = ("rejected", "retired")


def opened_store(address: str | Path | None, clock: Callable[[], float], *, files: str | None = None) -> "VersionStore":
    """The version store at an address; nothing is connected or made before it is used.

    Args:
        address: of its database, as for `opened_database`; None: `$VITRAIL_VERSIONS`, else `runs/versions.sqlite`.
        clock: seconds since 1970.
        files: where packages are to lie, a folder or an fsspec URL: said once, kept in the database. None: what is
            kept there, else `versions` beside SQLite's file.
    """
    return VersionStore(opened_database(address or os.environ.get(ENVIRONMENT) or USUAL_STORE), clock, files=files)


class VersionStore:
    """Registers packages, moves aliases, and keeps what was said of versions.

    Every method raises a `SystemFault` where the database or the files cannot be reached, and an `InputError` for a
    version that there is not.
    """

    def __init__(self, database: Database, clock: Callable[[], float], *, files: str | None = None) -> None:
        self._database, self._clock, self._files = database, clock, files
        self._shelf: PackageShelf | None = None
        self._is_prepared = False

    @property
    def shown(self) -> str:
        """Where it is, without a password."""
        return self._database.shown

    def close(self) -> None:
        """Close connections."""
        self._database.close()

    def register(self, name: str, package: Path, *, lineage: Mapping[str, Any], by: str) -> Version:
        """Copy a package to the shelf and give it the next number of `name`; the same content keeps its number.

        Raises:
            InputError: the name, or the parent in `lineage`, is not as it should be.
            PackageError: a file of the package was changed.
        """
        import sqlalchemy as sql

        refuse_odd_name(name)
        digest = self.shelf.put(package)
        table = version_tables().versions

        def write(connection: Connection) -> int:
            of_name = table.c.name == name
            same = sql.select(table.c.number).where(of_name, table.c.digest == digest)
            known = connection.execute(same).scalar()
            if known is not None:
                return int(known)
            number = int(connection.execute(sql.select(sql.func.max(table.c.number)).where(of_name)).scalar() or 0) + 1
            row = {"name": name, "number": number, "digest": digest, "lineage": json.dumps(dict(lineage))}
            connection.execute(sql.insert(table).values(row))
            add_line(connection, name, number, "registered", self._said(by, {"digest": digest}))
            return number

        return self.version(VersionName(name, number=self._written(write)))

    def version(self, which: VersionName | str) -> Version:
        """One version, with its history.

        Raises:
            InputError: there is none of that name, number or alias.
        """
        asked = version_name(which) if isinstance(which, str) else which
        found = self.versions(asked.name)
        if not found:
            known = self.names()
            hint = did_you_mean(asked.name, known) or (
                f"it holds {', '.join(known)}" if known else f"vitrail register PACKAGE --name {asked.name}"
            )
            raise InputError(f"{self.shown} holds no versions of {asked.name}", hint=hint)
        if asked.number is None and asked.alias is None:
            return found[-1]
        chosen = [each for each in found if each.number == asked.number or asked.alias in each.aliases]
        if not chosen and asked.alias:
            raise InputError(
                f"no version of {asked.name} is called {asked.alias}",
                hint=f"vitrail alias {found[-1].id} {asked.alias}",
            )
        if not chosen:
            raise InputError(
                f"there is no {asked}: versions 1 to {found[-1].number} were registered",
                hint=f"vitrail versions {asked.name}",
            )
        return chosen[0]

    def versions(self, name: str) -> list[Version]:
        """All versions of a name, in order; none where the name is not known."""
        import sqlalchemy as sql

        self._prepare()
        table = version_tables().versions
        asked = sql.select(table.c.number, table.c.digest, table.c.lineage).where(table.c.name == name)
        with self._database.reading() as connection:
            # Versions first: in PostgreSQL every statement sees its own moment, and what was seen has its history.
            rows = list(connection.execute(asked.order_by(table.c.number)))
            history = history_of(connection, name)
        called = aliases_of(history)
        found = []
        for number, digest, lineage in rows:
            own = [each for each in history if each.number == number]
            aliases = tuple(alias for alias, of in called.items() if of == number)
            found.append(Version(name, number, digest, json.loads(lineage), state_of(own), aliases, own))
        return found

    def names(self) -> list[str]:
        """Names that have versions."""
        import sqlalchemy as sql

        self._prepare()
        table = version_tables().versions
        with self._database.reading() as connection:
            return list(connection.execute(sql.select(table.c.name).distinct().order_by(table.c.name)).scalars())

    def history(self, name: str) -> list[HistoryLine]:
        """All that ever happened to versions of a name, oldest first."""
        self._prepare()
        with self._database.reading() as connection:
            return history_of(connection, name)

    def folder(self, which: VersionName | str) -> Path:
        """The package of a version on this machine, every byte of it checked.

        Raises:
            PackageError: it was changed in the store, or is gone.
        """
        return self.shelf.folder(self.version(which).digest)

    def set_alias(self, which: VersionName | str, alias: str, *, by: str, note: str = "") -> Version:
        """Call a version `stable` or `candidate`; what was `stable` is `previous` from the same moment on.

        Raises:
            InputError: `previous` is not set by hand; a rejected or retired version does not become `stable`.
        """
        version = self.version(which)
        if alias not in (STABLE, CANDIDATE):
            raise InputError(
                f"{alias!r} is no alias that is given by hand", hint=f"stable or candidate; {PREVIOUS} follows stable"
            )

        def write(connection: Connection) -> None:
            history = history_of(connection, version.name)
            state = state_of([each for each in history if each.number == version.number])
            if alias == STABLE and state in _NEVER_STABLE:
                raise InputError(
                    f"{version.id} is {state} and does not become {STABLE}",
                    hint=f"vitrail admit {version.id} --against {STABLE} --data DIR",
                )
            before = aliases_of(history).get(alias)
            if before == version.number:
                return
            facts = {"alias": alias, "before": before, "note": note}
            add_line(connection, version.name, version.number, "alias", self._said(by, facts))
            if alias == STABLE and before is not None:
                add_line(connection, version.name, before, "alias", self._said(by, {"alias": PREVIOUS, "note": note}))
            if alias == STABLE and aliases_of(history).get(CANDIDATE) == version.number:
                gone = {"alias": CANDIDATE, "removed": True, "note": f"it is {STABLE}"}
                add_line(connection, version.name, version.number, "alias", self._said(by, gone))

        self._written(write)
        return self.version(VersionName(version.name, number=version.number))

    def set_state(self, which: VersionName | str, state: State, *, by: str, why: str = "") -> Version:
        """Say how far a version came; see `NEXT_STATES`.

        Raises:
            InputError: this state does not follow the one that it has.
        """
        version = self.version(which)

        def write(connection: Connection) -> None:
            history = history_of(connection, version.name)
            now = state_of([each for each in history if each.number == version.number])
            if state == "retired" and aliases_of(history).get(STABLE) == version.number:
                raise InputError(
                    f"{version.id} is {STABLE} and is not retired", hint=f"vitrail alias ANOTHER {STABLE} first"
                )
            if state not in NEXT_STATES[now]:
                raise InputError(
                    f"{version.id} is {now}, which is not followed by {state}",
                    hint=f"what may follow: {', '.join(NEXT_STATES[now])}",
                )
            add_line(connection, version.name, version.number, "state", self._said(by, {"state": state, "why": why}))

        self._written(write)
        return self.version(VersionName(version.name, number=version.number))

    def add(
        self, which: VersionName | str, kind: Literal["note", "signed", "admission", "rollout"], *, by: str,
        facts: Mapping[str, Any],
    ) -> Version:  # fmt: skip
        """Write a line into the history of a version."""
        version = self.version(which)
        self._written(
            lambda connection: add_line(connection, version.name, version.number, kind, self._said(by, facts))
        )
        return self.version(VersionName(version.name, number=version.number))

    def sign(self, which: VersionName | str, *, by: str, note: str) -> Version:
        """A named person answers for a version: the digest stands beside the name, and its files are checked before.

        Raises:
            InputError: no name, or nothing was said.
            PackageError: its files are not those that were registered.
        """
        for what, said, hint in (("who", by, '--as "Ada Lovelace"'), ("what", note, '--note "read its report"')):
            if not said.strip():
                raise InputError(f"a signature says who signs and why; {what} is empty", hint=hint)
        version = self.version(which)
        self.shelf.folder(version.digest)
        facts = {"note": note.strip(), "digest": version.digest}
        return self.add(VersionName(version.name, number=version.number), "signed", by=by.strip(), facts=facts)

    @property
    def shelf(self) -> PackageShelf:
        """Where the packages lie."""
        if self._shelf is None:
            self._prepare()
            self._shelf = shelf_at(place_of_files(self._database, self._files))
        return self._shelf

    def _prepare(self) -> None:
        if not self._is_prepared:
            self._database.prepare("versions", _SCHEMA, version_tables().all)
            self._is_prepared = True

    def _said(self, by: str, facts: Mapping[str, Any]) -> Said:
        return Said(by, self._clock(), facts)

    def _written(self, write: Callable[[Connection], Any]) -> Any:
        """Write, and look anew where somebody else was quicker: nobody's line is lost or written over."""
        self._prepare()
        for attempt in range(_TRIES):
            try:
                with self._database.writing() as connection:
                    return write(connection)
            except DatabaseConflict:
                if attempt == _TRIES - 1:
                    raise
        return None
