"""A report: sections, written as JSON and rendered as a page from that JSON, so that both say the same."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vitrail.basics.errors import InputError
from vitrail.basics.files import write_bytes, write_json
from vitrail.basics.printable import encodable
from vitrail.evaluation.section import Section
from vitrail.pages.frame import render_page
from vitrail.pages.window import stained_window

FORMAT = 2
"""Version of the frame of `report.json`; every section has its own."""

PAGE, FIGURES = "report.html", "report.json"


@dataclass(frozen=True)
class Report:
    """Everything a report says.

    Attributes:
        title: one line, for instance the data set's name.
        created: when, as text.
        command: what to type to get this again.
        sections: in order; every name once.
        seed: of the run, where there is one.
        timings: seconds per part of the run.
        versions: of Python and packages.
        next_commands: what to type next.
        beside: sentences on other files beside the page.
        window_of: what the window on top is drawn from: the same words, the same panes.
    """

    title: str
    created: str
    command: str
    sections: Sequence[Section]
    seed: int | None = None
    timings: Mapping[str, float | int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    next_commands: Sequence[str] = ()
    beside: Sequence[str] = ()
    window_of: str = ""

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(section.name for section in self.sections).items() if count > 1]
        if twice:
            raise InputError(f"every section of a report once was expected, {twice[0]!r} is there twice")

    def as_json(self) -> dict[str, Any]:
        """Every number and word of the report as plain JSON values; pictures stay out."""
        return {
            "format": FORMAT,
            "title": self.title,
            "created": self.created,
            "sections": {section.name: section.as_json() for section in self.sections},
            "timings": dict(self.timings),
            "command": self.command,
            "seed": self.seed,
            "versions": dict(self.versions),
            "next_commands": list(self.next_commands),
            "beside": list(self.beside),
        }


def write_report(report: Report, folder: Path) -> Path:
    """Write `report.json` and `report.html` into `folder` and return the path of the page.

    The page is rendered from what the JSON file holds, and needs no network and no script.

    Raises:
        InputError: a value is not JSON (a NaN, a path object, …).
        SystemFault: the folder cannot be written.
    """
    try:
        document = json.loads(json.dumps(_encodable(report.as_json()), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"the report holds a value that JSON cannot: {error}") from error
    page = _rendered(report, document)
    write_json(folder / FIGURES, document)
    write_bytes(folder / PAGE, page.encode())
    return folder / PAGE


def _encodable(value: Any) -> Any:
    """The same values; names of files that are no UTF-8 are spelled, in whatever they are told of."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value


def _rendered(report: Report, document: Mapping[str, Any]) -> str:
    parts = []
    for section in report.sections:
        told = document["sections"][section.name]
        drawn = section.draw(told["figures"])
        parts.append(Markup(render_page(section.template, section={**told, "name": section.name}, **drawn)))
    window = stained_window(encodable(f"{report.window_of} {report.title}"))
    return render_page("report.html", report=document, sections=parts, window=window)
