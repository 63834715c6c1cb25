"""A section: what every evaluation gives. A report is a list of them; page, JSON and package hold the same numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
"""JSON values by name: numbers that people read are measures in their JSON form, with n and interval."""


@dataclass(frozen=True)
class Sentence:
    """Words for people.

    Attributes:
        text: one sentence.
        verdict: what it decides (`better`, `worse`, `not enough evidence`), shown as such; None where it only tells.
    """

    text: str
    verdict: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"text": self.text, "verdict": self.verdict}


def nothing_drawn(figures: Figures) -> dict[str, Any]:
    """A section that is shown in words and numbers alone."""
    return {}


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes:
        name: its key in `report.json`, in the package's metrics and in the page's address (`#name`).
        version: of its figures; raised when one of them changes its meaning or goes.
        title: above it on the page.
        figures: see `Figures`; no NaN, no objects.
        sentences: above the figures.
        template: a file among the pages' templates, or the path of one that is elsewhere. It is given `section` (what
            `as_json` says) and what `draw` gives. The usual one shows sentences, measures as a table, all else as a
            list.
        packaged: the figures that go into the package's metrics. A package is given away: nothing about a single image
            or about single attributes (one patient group, one hospital) belongs there.
        draw: from the figures to what only the page shows: plots, small pictures, rows in another order.
    """

    name: str
    version: int
    title: str
    figures: Figures
    sentences: Sequence[Sentence] = ()
    template: str | Path = "sections/figures.html"
    packaged: Sequence[str] = ()
    draw: Callable[[Figures], Mapping[str, Any]] = nothing_drawn

    def as_json(self) -> dict[str, Any]:
        """What `report.json` holds of it."""
        return {
            "version": self.version,
            "title": self.title,
            "sentences": [sentence.as_json() for sentence in self.sentences],
            "figures": dict(self.figures),
        }


def packaged_metrics(sections: Sequence[Section]) -> dict[str, Any]:
    """What a package says of itself: by section, the version and the figures that may be given away."""
    return {
        section.name: {"version": section.version, **{name: section.figures[name] for name in section.packaged}}
        for section in sections
        if section.packaged
    }
