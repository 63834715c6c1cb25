"""What is kept about routes: revisions, the models that they name, and which server serves by which."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.traffic.routes import Routes


@dataclass(frozen=True)
class KnownModel:
    """A model that routes may name.

    Attributes:
        model: its id.
        folder: of its package, as an absolute path; every server that shares the database must see it there.
        digest: of the package; a model that gets another package is known twice, and the later one holds.
        added: seconds since 1970.
    """

    model: str
    folder: Path
    digest: str
    added: float = 0.0


@dataclass(frozen=True)
class WrittenRoutes:
    """A revision and when it was written, in seconds since 1970."""

    routes: Routes
    written: float


@dataclass(frozen=True)
class Confirmation:
    """That a server has loaded a revision and serves by it.

    Attributes:
        server: its name.
        revision: what it serves by.
        at: seconds since 1970.
    """

    server: str
    revision: int
    at: float


@dataclass(frozen=True)
class Tables:
    """Tables of SQLAlchemy, which is imported late; `all` is what they belong to."""

    all: Any
    revisions: Any
    models: Any
    confirmations: Any


@functools.cache
def route_tables() -> Tables:
    """The tables, made once."""
    import sqlalchemy as sql

    everything = sql.MetaData()
    text, number = (functools.partial(sql.Column, type_=kind, nullable=False) for kind in (sql.Text, sql.Float(53)))
    revisions = sql.Table(
        "route_revisions", everything,
        sql.Column("revision", sql.Integer, primary_key=True, autoincrement=False),
        number("written"), text("by"), text("note"), text("routes"),
    )  # fmt: skip
    models = sql.Table(
        "route_models", everything, sql.Column("number", sql.Integer, primary_key=True),
        text("model"), text("folder"), text("digest"), number("added"),
    )  # fmt: skip
    confirmations = sql.Table(
        "route_confirmations", everything, sql.Column("number", sql.Integer, primary_key=True),
        text("server"), sql.Column("revision", sql.Integer, nullable=False), number("at"),
    )  # fmt: skip
    return Tables(everything, revisions, models, confirmations)
