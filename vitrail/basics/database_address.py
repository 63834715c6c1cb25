"""Where a database is, as people write it."""

import os
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from vitrail.basics.errors import InputError

_HINT = "name a file, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME"
_PORT = 5432


@dataclass(frozen=True)
class Address:
    """What an address says.

    Attributes:
        kind: which database.
        shown: the address without its password.
        path: of SQLite's file; None for PostgreSQL.
        user: of PostgreSQL, as all that follow.
        password: None where none is needed.
        host: name of the machine.
        port: usually 5432.
        name: of the database.
        unix_socket: path of its Unix socket, instead of host and port.
        encryption: how the connection is encrypted; None: if the server can, whoever it is; False: not at all.
    """

    kind: Literal["sqlite", "postgresql"]
    shown: str
    path: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    name: str | None = None
    unix_socket: str | None = None
    encryption: ssl.SSLContext | bool | None = None


def address_of(url: str) -> Address:
    """The address that a path or a URL names.

    Raises:
        InputError: it names neither a file nor a database of PostgreSQL; a password in it is not said.

    >>> address_of("postgresql://me:secret@db.example/figures").shown
    'postgresql://me:***@db.example/figures'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _sqlite(url)
    if scheme == "sqlite":
        return _sqlite(rest.removeprefix("/"))
    if scheme in ("postgresql", "postgres", "postgresql+pg8000"):
        return _postgresql(url)
    raise InputError(f"{_without_password(url)} is no database that Vitrail knows", hint=_HINT)


def _sqlite(path: str) -> Address:
    if not path or path == ":memory:":
        raise InputError("SQLite needs the path of a file: what is kept in memory alone is not kept", hint=_HINT)
    place = Path(path).expanduser().absolute()
    if place.is_dir():
        raise InputError(f"{path} is a folder, and a database is a file", hint=f"name a file in it: {path}/figures.db")
    return Address("sqlite", str(place), place)


def _postgresql(url: str) -> Address:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise InputError(f"{_without_password(url)}: its port is no number", hint=_HINT) from error
    name, user = unquote(parts.path.lstrip("/")), unquote(parts.username or "")
    if not name or not user:
        raise InputError(f"{_without_password(url)} names no {'user' if name else 'database'}", hint=_HINT)
    password = unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD")
    unix_socket, encryption = None, None
    for key, value in parse_qsl(parts.query):
        if key == "host" and value.startswith("/"):
            unix_socket = f"{value}/.s.PGSQL.{port or _PORT}"
        elif key == "sslmode":
            encryption = _encryption(value)
        else:
            raise InputError(
                f"{_without_password(url)}: {key}={value} is not understood",
                hint="what may stand behind the question mark: host=/FOLDER of a Unix socket, sslmode=MODE",
            )
    shown = _without_password(url).replace("+pg8000", "", 1)
    return Address(
        "postgresql", shown, None, user, password, parts.hostname or "localhost", port or _PORT, name, unix_socket,
        encryption,
    )  # fmt: skip


def _encryption(mode: str) -> ssl.SSLContext | bool | None:
    if mode in ("disable", "allow", "prefer"):
        return False if mode == "disable" else None
    context = ssl.create_default_context()
    if mode == "require":  # encrypted, whoever answers: what PostgreSQL's own programs mean by it
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif mode == "verify-ca":
        context.check_hostname = False
    elif mode != "verify-full":
        raise InputError(f"sslmode={mode} is not known", hint="disable, prefer, require, verify-ca or verify-full")
    return context


def _without_password(url: str) -> str:
    """The last @ ends what may be a password, whatever is wrong with the rest."""
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
