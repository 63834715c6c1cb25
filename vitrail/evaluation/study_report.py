"""The report of `vitrail study starter`: one dictionary, written as JSON and rendered as a page."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.files import write_bytes, write_json
from vitrail.basics.versions import versions
from vitrail.pages.frame import render_page
from vitrail.pages.window import stained_window

FORMAT = 2
"""Version of this kind of `report.json`; raised when a field changes its meaning or goes."""


@dataclass(frozen=True)
class StudyReport:
    """Everything the report says.

    Attributes:
        title: one line.
        created: when, as text.
        command: what to type to get this study again.
        settings: of the study.
        data: what came out, by data set.
        versions: of Python and packages.
    """

    title: str
    created: str
    command: str
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, data: Mapping[str, Any], settings: Mapping[str, Any], command: str) -> "StudyReport":
        """The report of a study that ends now."""
        title = "What the starter weights are worth"
        return cls(title, time.strftime("%Y-%m-%d %H:%M"), command, settings, data, versions())


def write_study_report(report: StudyReport, folder: Path) -> Path:
    """Write `report.json` and `report.html` into `folder` and return the path of the page.

    Raises:
        SystemFault: the folder cannot be written.
    """
    document = json.loads(json.dumps({"format": FORMAT, **asdict(report)}, allow_nan=False))
    page = render_page("study.html", report=document, window=stained_window(f"{document['data']}"))
    write_json(folder / "report.json", document)
    write_bytes(folder / "report.html", page.encode())
    return folder / "report.html"
