"""A database by its address: one SQLite file, or PostgreSQL by changing the URL; the extra `serve` brings SQLAlchemy.

Nothing here waits long: a database that is locked, gone or silent is a `SystemFault` after about three seconds, and its
text never holds a password.
"""

import contextlib
import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from vitrail.basics.database_address import Address, address_of
from vitrail.basics.errors import InputError, SystemFault, missing_extra
from vitrail.basics.files import explained_os_errors

TIMEOUT_SECONDS = 2.5
"""How long a connection, a lock or an answer is waited for."""

Connection = Any
"""A connection of SQLAlchemy, which is imported late."""

_SCHEMA_LOCK = 7_236_178  # any number that all processes have in common


class DatabaseConflict(SystemFault):
    """A row with this key is there already: somebody else was quicker (exit code 3)."""


def opened_database(url: str | Path) -> "Database":
    """The database at an address; nothing is connected before it is used.

    Args:
        url: a file's path or `sqlite:///PATH`; or `postgresql://USER:PASSWORD@HOST/NAME`, where `?host=/FOLDER` means
            its Unix socket, `?sslmode=require` or `verify-full` encrypts, and `$PGPASSWORD` serves where none is given.

    Raises:
        InputError: the address is none of these.
        SystemFault: the extra `serve` is not installed.
    """
    address = address_of(str(url))
    try:
        import sqlalchemy  # noqa: F401 - an extra

        if address.kind == "postgresql":
            import pg8000  # noqa: F401 - an extra
    except ImportError as error:
        raise missing_extra("serve", error) from error
    return Database(address)


class Database:
    """Reads and writes in short transactions; safe for several threads, and several processes may have one each."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._engine = _sqlite_engine(address.path) if address.path else _postgresql_engine(address)

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        """Which of both."""
        return self.address.kind

    @property
    def shown(self) -> str:
        """The address without its password."""
        return self.address.shown

    @property
    def caution(self) -> str | None:
        """A sentence where the file lies on a network: SQLite's locks do not hold there."""
        system = _network_file_system(self.address.path) if self.address.path else None
        if system is None:
            return None
        return f"{self.shown} lies on a network file system ({system}), where SQLite may lose data; use a local disk"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads: all statements see the same moment in SQLite, each its own in PostgreSQL.

        Raises:
            SystemFault: the database is gone, locked or silent.
        """
        with self._explained_faults(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is there when the block ends well, else nothing.

        In SQLite one process writes at a time (`BEGIN IMMEDIATE`).

        Raises:
            DatabaseConflict: a row with the same key is there.
            SystemFault: the database is gone, locked, full or silent.
        """
        with self._explained_faults(), self._engine.execution_options(writes=True).begin() as connection:
            yield connection

    def insert(self, table: Any) -> Any:
        """SQLAlchemy's `insert` of this database, which has `on_conflict_do_update` and `on_conflict_do_nothing`."""
        from sqlalchemy.dialects import postgresql, sqlite

        return (postgresql if self.kind == "postgresql" else sqlite).insert(table)

    def prepare(self, part: str, version: int, tables: Any) -> None:
        """Create what is not there yet; any number of processes may do so at once.

        Args:
            part: whose tables these are, such as `figures`.
            version: of their columns; it is written beside them.
            tables: SQLAlchemy's `MetaData`.

        Raises:
            InputError: they were made by a newer or older Vitrail.
            SystemFault: as `writing`.
        """
        import sqlalchemy as sql

        versions = sql.Table(
            "vitrail_schema", sql.MetaData(),
            sql.Column("part", sql.Text, primary_key=True), sql.Column("version", sql.Integer, nullable=False),
        )  # fmt: skip
        if self.address.path:
            _create_file(self.address.path)
        with self.writing() as connection:
            if self.kind == "postgresql":
                connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            versions.create(connection, checkfirst=True)
            found = connection.execute(sql.select(versions.c.version).where(versions.c.part == part)).scalar()
            self._refuse_other_version(part, found, version)
            tables.create_all(connection)
            if found is None:
                connection.execute(sql.insert(versions).values(part=part, version=version))

    def _refuse_other_version(self, part: str, found: int | None, known: int) -> None:
        if found not in (None, known):
            raise InputError(
                f"{self.shown}: its {part} are of version {found}, this Vitrail knows version {known}",
                hint="use the Vitrail that wrote them, or name another database",
            )

    def close(self) -> None:
        """Close connections that are not in use; the next use opens new ones."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _explained_faults(self) -> Iterator[None]:
        from sqlalchemy.exc import IntegrityError, SQLAlchemyError

        try:
            yield
        except IntegrityError as error:
            raise DatabaseConflict(
                f"{self.shown}: {self._reason(error)}", hint="look at what is there now, and try again"
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise SystemFault(f"{self.shown}: {self._reason(error)}", hint=self._hint()) from error

    def _reason(self, error: Exception) -> str:
        """What the database said, on one line, without the password."""
        original = getattr(error, "orig", None) or error
        said = original.args[0] if original.args else original
        plain = getattr(original, "strerror", None) or str(original)
        text = said.get("M", "it refused") if isinstance(said, dict) else plain
        text = " ".join(text.split()) or type(original).__name__
        return text.replace(self.address.password, "***") if self.address.password else text

    def _hint(self) -> str:
        if self.kind == "postgresql":
            return "is PostgreSQL running there, and may this user connect to this database?"
        return "is there space on the disk, may this user write there, and does no other program hold the file?"


def _sqlite_engine(path: Path) -> Any:
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:
        # A file that somebody removed is an error, not an empty database; `prepare` makes a new one.
        place = f"file:{quote(str(path))}?mode=rw"
        connection = sqlite3.connect(
            place, uri=True, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(address: Address) -> Any:
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create(
            "postgresql+pg8000", address.user, address.password, address.host, address.port, address.name
        ),
        connect_args={"application_name": "vitrail", "ssl_context": address.encryption},
        pool_size=2, max_overflow=4, pool_timeout=TIMEOUT_SECONDS, pool_pre_ping=True, pool_logging_name="vitrail",
        hide_parameters=True,
    )  # fmt: skip
    # A connection that is gone is told to the caller; that it cannot be closed as well is no news.
    logging.getLogger("sqlalchemy.pool.impl.QueuePool.vitrail").setLevel(logging.CRITICAL)
    milliseconds = int(TIMEOUT_SECONDS * 1000)

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, given: Any, named: dict[str, Any]) -> Any:
        plain = _connected_socket(address)
        try:
            return dialect.loaded_dbapi.Connection(*given, **named, sock=plain)
        except BaseException:
            plain.close()  # the driver leaves it open where the server does not answer
            raise

    @sqlalchemy.event.listens_for(engine, "connect")
    def limit(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SET {limit} = {milliseconds}")
        cursor.close()
        connection.commit()

    return engine


def _connected_socket(address: Address) -> socket.socket:
    if address.unix_socket is None:
        return socket.create_connection((address.host, address.port), TIMEOUT_SECONDS)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.settimeout(TIMEOUT_SECONDS)
        found.connect(address.unix_socket)
    except OSError:
        found.close()
        raise
    return found


_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.sshfs")


def _network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """The kind of the network file system that a file is on; None: on none, or this system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return None
    around = [(len(line[1]), line[2]) for line in lines if path.is_relative_to(line[1].replace("\\040", " "))]
    kind = max(around, default=(0, ""))[1]
    return kind if kind in _NETWORK else None


def _create_file(path: Path) -> None:
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # It may hold what only the owner should read; SQLite gives the files beside it the same mode.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
