"""The report of a run: one dictionary of numbers, written as JSON and rendered as a page, so both say the same."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.basics.errors import InputError
from vitrail.basics.files import write_bytes, write_json
from vitrail.basics.natural_order import in_natural_order, natural_places
from vitrail.evaluation.quality import Quality
from vitrail.measures.intervals import Measure
from vitrail.pages.curves import training_plots
from vitrail.pages.frame import render_page
from vitrail.pages.guidance import CAUTIONS
from vitrail.pages.plots import LARGEST_MATRIX, confusion_svg, interval_bar, top_confusions
from vitrail.pages.thumbnails import thumbnail_uri
from vitrail.pages.window import stained_window

FORMAT = 1
"""Version of `report.json`; raised when a field changes its meaning or goes."""

HEADLINE_ORDER = ("test", "val")
"""The split whose accuracy stands on top: the first of these that was judged, otherwise the first judged one."""


def headline_split(judged: Collection[str]) -> str:
    """Which of the judged splits stands on top.

    >>> headline_split(["val", "test"])
    'test'
    """
    return next(split for split in (*HEADLINE_ORDER, *judged) if split in judged)


@dataclass(frozen=True)
class RunReport:
    """Everything a report says about one run.

    Args:
        title: one line, for instance the data set's name.
        created: when, as text.
        command: what to type to get this run again.
        seed: the run's seed.
        model: name, weights, licence, image size, precision, …; shown in this order, field names as words.
        data: `counts` as {split: {class: images}}, `fingerprint`, and whatever else identifies the data.
        findings: what the check found: `code`, `severity` (error, warning, note), `title`, `details`, `hint`.
        qualities: the judgement of each split that was measured.
        neighbours: for each such split, the accuracy of the nearest-neighbour baseline.
        chosen: sentences on what was decided and why.
        timings: seconds per part of the run.
        versions: of Python and packages.
        next_commands: what to type next.
        most_wrong: images, worst first: `path`, `label`, `predicted`, `probability` (of the predicted class) and
            `thumbnail_source`, a PIL image or None.
        leak_free_accuracy: accuracy without the images that also occur in training; None when there are none.
        training: stages, epochs, learning curve and choice, under the names of the template `training.html`; None
            when nothing but the probe was trained.
    """

    title: str
    created: str
    command: str
    seed: int
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    findings: Sequence[Mapping[str, Any]]
    qualities: Mapping[str, Quality]
    neighbours: Mapping[str, Measure]
    chosen: Sequence[str]
    timings: Mapping[str, float | int]
    versions: Mapping[str, str]
    next_commands: Sequence[str]
    most_wrong: Sequence[Mapping[str, Any]]
    leak_free_accuracy: Measure | None
    training: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.qualities:
            raise InputError("a report needs at least one judged split, got none")

    def as_json(self) -> dict[str, Any]:
        """Every number and word of the report as plain JSON values; pictures stay out."""
        headline = headline_split(self.qualities)
        fields = ("path", "label", "predicted", "probability")
        return {
            "format": FORMAT,
            "title": self.title,
            "created": self.created,
            "headline_split": headline,
            "qualities": {split: quality.as_json() for split, quality in self.qualities.items()},
            "neighbours": {split: measure.as_json() for split, measure in self.neighbours.items()},
            "leak_free_accuracy": self.leak_free_accuracy.as_json() if self.leak_free_accuracy else None,
            "training": None if self.training is None else dict(self.training),
            "model": dict(self.model),
            "data": dict(self.data),
            "chosen": list(self.chosen),
            "timings": dict(self.timings),
            "findings": [{**finding, "details": list(finding["details"])} for finding in self.findings],
            "most_wrong": [{field: entry[field] for field in fields} for entry in self.most_wrong],
            "cautions": [caution.as_json() for caution in CAUTIONS],
            "command": self.command,
            "seed": self.seed,
            "versions": dict(self.versions),
            "next_commands": list(self.next_commands),
        }


def write_report(report: RunReport, folder: Path, *, thumbnails: bool) -> Path:
    """Write `report.json` and `report.html` into `folder` and return the path of the page.

    The page is rendered from what the JSON file holds, needs no network and no script, and shows the most wrong
    images as small pictures unless `thumbnails` is off.

    Raises:
        InputError: a value is not JSON (a NaN, a path object, …).
        SystemFault: the folder cannot be written.
    """
    try:
        document = json.loads(json.dumps(report.as_json(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"the report holds a value that JSON cannot: {error}") from error
    sources = [entry.get("thumbnail_source") if thumbnails else None for entry in report.most_wrong]
    pictures = [None if source is None else thumbnail_uri(source) for source in sources]
    page = render_report(document, pictures)
    write_json(folder / "report.json", document)
    write_bytes(folder / "report.html", page.encode())
    return folder / "report.html"


def render_report(document: Mapping[str, Any], pictures: Sequence[str | None]) -> str:
    """The page for the contents of a `report.json`; `pictures` are `data:` addresses for its most wrong images."""
    quality = _as_people_count(document["qualities"][document["headline_split"]])
    matrix, classes = np.array(quality["confusion"]), quality["classes"]
    names = {name for counts in document["data"].get("counts", {}).values() for name in counts}
    return render_page(
        "report.html",
        report=document,
        quality=quality,
        names=in_natural_order(names),
        pictures=pictures,
        bar=interval_bar,
        matrix=confusion_svg(matrix, classes) if len(classes) <= LARGEST_MATRIX else None,
        confusions=top_confusions(matrix, classes, most=20),
        curves=training_plots(document["training"]) if document["training"] else None,
        window=stained_window(f"{document['data'].get('fingerprint')} {document['title']}"),
    )


def _as_people_count(quality: Mapping[str, Any]) -> dict[str, Any]:
    """The same judgement with class 2 before class 10; in the JSON they stand in the order of the logits."""
    places = natural_places(quality["classes"])
    return {
        **quality,
        "classes": [quality["classes"][place] for place in places],
        "per_class": [quality["per_class"][place] for place in places],
        "confusion": np.array(quality["confusion"])[np.ix_(places, places)].tolist(),
    }
