"""A section: what every evaluation gives. A report is a list of them; page, JSON and package hold the same numbers."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError, did_you_mean

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
        name: its key in `report.json`, in the package's metrics and in the page's address (`#name`): small letters,
            digits and `_`.
        version: of its figures; raised when one of them changes its meaning or goes.
        title: above it on the page.
        figures: see `Figures`; no NaN, no objects.
        sentences: above the figures.
        template: a file among the pages' templates, or the path of one that is elsewhere. It is given `section` (what
            `as_json` says) and what `draw` gives. The usual one shows sentences; measures, mappings of measures and
            mappings of these as tables; all else as a list.
        packaged: the figures that go into the package's metrics. A package is given away: nothing about a single image
            or about single attributes (one patient group, one hospital) belongs there.
        draw: from the figures to what only the page shows: plots, small pictures, rows in another order.

    Raises:
        InputError: the name cannot be an address, or a figure is to be packaged that there is not.
    """

    name: str
    version: int
    title: str
    figures: Figures
    sentences: Sequence[Sentence] = ()
    template: str | Path = "sections/figures.html"
    packaged: Sequence[str] = ()
    draw: Callable[[Figures], Mapping[str, Any]] = nothing_drawn

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise InputError(
                f"a section is named {self.name!r}",
                hint="small letters, digits and _ make its address on the page; its title may be anything",
            )
        if "version" in self.packaged:
            raise InputError(
                f"the section {self.name!r} would package a figure 'version', where its own version stands"
            )
        for name in self.packaged:
            if name not in self.figures:
                hint = did_you_mean(name, self.figures) or f"it has {', '.join(map(str, self.figures)) or 'none'}"
                raise InputError(f"the section {self.name!r} would package {name!r}, no figure of it", hint=hint)

    def as_json(self) -> dict[str, Any]:
        """What `report.json` holds of it.

        Raises:
            InputError: a figure is not JSON (a NaN, a path, a NumPy number, …).
        """
        return {
            "version": self.version,
            "title": self.title,
            "sentences": [sentence.as_json() for sentence in self.sentences],
            "figures": self._plain_figures(),
        }

    def _plain_figures(self) -> dict[str, Any]:
        try:
            plain: dict[str, Any] = json.loads(json.dumps(dict(self.figures), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the section {self.name!r} of the report holds a value that JSON cannot: {error}",
                hint="give Python's numbers instead of NumPy's (.item(), .tolist()), and None for NaN",
            ) from error
        return plain


def packaged_metrics(sections: Sequence[Section]) -> dict[str, Any]:
    """What a package says of itself: by section, the version and the figures that may be given away.

    Raises:
        InputError: a figure is not JSON.
    """
    metrics = {}
    for section in sections:
        if section.packaged:
            figures = section.as_json()["figures"]
            metrics[section.name] = {"version": section.version, **{name: figures[name] for name in section.packaged}}
    return metrics
