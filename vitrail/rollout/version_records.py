"""What is kept about versions: each with its digest and lineage, and beside it a history that only ever grows."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

State = Literal["registered", "admitted", "rejected", "rolled out", "retired"]
STATES: tuple[State, ...] = get_args(State)
LineKind = Literal["registered", "state", "alias", "signed", "note", "admission", "rollout"]

NEXT_STATES: Mapping[State, tuple[State, ...]] = {
    "registered": ("admitted", "rejected", "retired"),
    "admitted": ("admitted", "rejected", "rolled out", "retired"),
    "rejected": ("admitted", "rejected", "retired"),
    "rolled out": ("rolled out", "rejected", "retired"),
    "retired": ("registered",),
}
"""From a state to those that may follow: nothing is rolled out that was not admitted, and a retired version begins
anew."""


@dataclass(frozen=True)
class HistoryLine:
    """One line of a model's history.

    Attributes:
        position: in the history of its name, from 1 on, without a gap.
        number: of the version that it is about.
        kind: what happened.
        by: who did it.
        at: seconds since 1970.
        facts: plain values: of a state `state` and `why`, of an alias `alias`, of a signature `note` and `digest`, …
    """

    position: int
    number: int
    kind: LineKind
    by: str
    at: float
    facts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        known = {"position": self.position, "version": self.number, "kind": self.kind, "by": self.by, "at": self.at}
        return {**known, **self.facts}


@dataclass(frozen=True)
class Version:
    """A package under a name and a number; neither it nor its number ever changes.

    Attributes:
        name: of the model.
        number: counted per name, from 1 on.
        digest: of the package (`models.seal.package_digest`); its files lie under it.
        lineage: where it came from: `run`, `data`, `parent` and what the package's provenance says.
        state: how far it came.
        aliases: what it is called now.
        history: what happened to it, oldest first.
    """

    name: str
    number: int
    digest: str
    lineage: Mapping[str, Any] = field(default_factory=dict)
    state: State = "registered"
    aliases: tuple[str, ...] = ()
    history: Sequence[HistoryLine] = ()

    @property
    def id(self) -> str:
        """`flowers@7`."""
        return f"{self.name}@{self.number}"

    @property
    def signatures(self) -> list[HistoryLine]:
        """Who signed for it, oldest first."""
        return [each for each in self.history if each.kind == "signed"]

    @property
    def notes(self) -> list[HistoryLine]:
        """What was noted about it, oldest first."""
        return [each for each in self.history if each.kind == "note"]

    @property
    def admission(self) -> HistoryLine | None:
        """What the latest admission came to; None: there was none."""
        found = [each for each in self.history if each.kind == "admission"]
        return found[-1] if found else None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "id": self.id, "name": self.name, "version": self.number, "digest": self.digest, "state": self.state,
            "aliases": list(self.aliases), "lineage": dict(self.lineage),
            "history": [each.as_json() for each in self.history],
        }  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """Tables of SQLAlchemy, which is imported late; `all` is what they belong to."""

    all: Any
    settings: Any
    versions: Any
    events: Any


@functools.cache
def version_tables() -> Tables:
    """The tables, made once."""
    import sqlalchemy as sql

    everything = sql.MetaData()
    text, whole = (functools.partial(sql.Column, type_=kind, nullable=False) for kind in (sql.Text, sql.Integer))
    settings = sql.Table(
        "version_settings", everything, sql.Column("name", sql.Text, primary_key=True), text("value"),
    )  # fmt: skip
    versions = sql.Table(
        "model_versions", everything, sql.Column("name", sql.Text, primary_key=True),
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=False), text("digest"), text("lineage"),
        sql.UniqueConstraint("name", "digest"),
    )  # fmt: skip
    events = sql.Table(
        "version_events", everything, sql.Column("name", sql.Text, primary_key=True),
        sql.Column("position", sql.Integer, primary_key=True, autoincrement=False), whole("number"), text("kind"),
        text("by"), sql.Column("at", sql.Float(53), nullable=False), text("facts"),
    )  # fmt: skip
    return Tables(everything, settings, versions, events)
