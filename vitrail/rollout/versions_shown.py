"""Versions as people read them: a line each, and the history of one."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.pages.shown_as_text import ShownAsText
from vitrail.rollout.version_records import HistoryLine, Version


@dataclass(frozen=True, repr=False)
class ShownVersion(ShownAsText):
    """One version.

    Attributes:
        version: as the store has it.
        folder: of its package on this machine.
        is_new: whether it was registered just now; False: the same content was there already.
    """

    version: Version
    folder: Path | None = None
    is_new: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        place = {} if self.folder is None else {"folder": str(self.folder), "is_new": self.is_new}
        return {**self.version.as_json(), **place}

    def lines(self) -> list[str]:
        """Its state, where it came from, and what happened to it."""
        version = self.version
        first = f"{version.id}   {version.state}{_called(version)}"
        if self.folder is not None:
            first += "" if self.is_new else "   (the same content was registered before)"
        told = [first, f"digest   {version.digest}"]
        told += [
            f"{name:<8} {version.lineage[name]}" for name in ("run", "parent", "trained") if version.lineage.get(name)
        ]
        told += [_shown_line(each) for each in version.history]
        if self.folder is not None:
            told += ["", f"package  {self.folder}", f"next     vitrail admit {version.id} --against stable --data DIR"]
        return told


@dataclass(frozen=True, repr=False)
class ShownVersions(ShownAsText):
    """All versions of one name, or of all."""

    store: str
    versions: Sequence[Version]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"store": self.store, "versions": [each.as_json() for each in self.versions]}

    def __len__(self) -> int:
        return len(self.versions)

    def __iter__(self) -> Iterator[Version]:
        return iter(self.versions)

    def lines(self) -> list[str]:
        """A line each, the latest first within a name."""
        if not self.versions:
            return [f"{self.store} holds no versions", "next     vitrail register PACKAGE --name NAME"]
        ordered = sorted(self.versions, key=lambda each: (each.name, -each.number))
        widest = max(len(each.id) for each in ordered)
        return [_version_line(each, widest) for each in ordered]


def _version_line(version: Version, widest: int) -> str:
    signed = f"   signed by {', '.join(dict.fromkeys(each.by for each in version.signatures))}"
    when = _day(version.history[0].at) if version.history else ""
    line = f"{version.id:<{widest}}  {version.digest[:12]}  {when}  {version.state:<10}{_called(version)}"
    return (line + (signed if version.signatures else "")).rstrip()


def _called(version: Version) -> str:
    return f"   {', '.join(version.aliases)}" if version.aliases else ""


def _shown_line(event: HistoryLine) -> str:
    facts = event.facts
    said = {
        "registered": "registered",
        "state": facts.get("state"),
        "alias": f"no longer {facts.get('alias')}" if facts.get("removed") else f"is {facts.get('alias')}",
        "signed": f"signed: {facts.get('note')}",
        "note": facts.get("note"),
        "admission": f"admission: {facts.get('outcome')}",
        "rollout": f"rollout: {facts.get('outcome') or facts.get('phase')}",
    }[event.kind]
    beside = facts.get("why") or (facts.get("note") if event.kind == "alias" else None)
    return f"  {_day(event.at)}  {said}{f' ({beside})' if beside else ''}, by {event.by}"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
