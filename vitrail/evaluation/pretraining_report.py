"""The report of a pretraining run: one dictionary, written as JSON and rendered as a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from vitrail.basics.files import write_bytes, write_json
from vitrail.measures.intervals import Measure
from vitrail.pages.curves import Series, curve_svg
from vitrail.pages.frame import render_page
from vitrail.pages.window import stained_window

FORMAT = 1
"""Version of this kind of `report.json`; raised when a field changes its meaning or goes."""


@dataclass(frozen=True)
class PretrainingReport:
    """Everything the report says.

    Attributes:
        title: one line.
        created: when, as text.
        command: what to type to get this run again.
        seed: the run's seed.
        figures: accuracy after the last step: of a linear probe on `digits`, and on held-out `renderings`.
        model: the weights in a few words and numbers, shown in this order, field names as words.
        settings: all of the run's, by part.
        epochs: the record of every epoch, as in `metrics.jsonl`.
        chosen: sentences on what was decided and why.
        speed: of the steps, by name.
        timings: seconds per part of the run.
        versions: of Python and packages.
        next_commands: what to type next.
    """

    title: str
    created: str
    command: str
    seed: int
    figures: Mapping[str, Measure]
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]
    chosen: Sequence[str]
    speed: Mapping[str, float]
    timings: Mapping[str, float]
    versions: Mapping[str, str]
    next_commands: Sequence[str]


def write_pretraining_report(report: PretrainingReport, folder: Path) -> Path:
    """Write `report.json` and `report.html` into `folder` and return the path of the page.

    Raises:
        SystemFault: the folder cannot be written.
    """
    figures = {name: measure.as_json() for name, measure in report.figures.items()}
    document = json.loads(json.dumps({"format": FORMAT, **asdict(report), "figures": figures}, allow_nan=False))
    page = render_page(
        "pretraining.html",
        report=document,
        curves=[_losses(document["epochs"]), _accuracies(document["epochs"])],
        window=stained_window(f"{document['model']} {document['title']}"),
    )
    write_json(folder / "report.json", document)
    write_bytes(folder / "report.html", page.encode())
    return folder / "report.html"


def _losses(epochs: Sequence[Mapping[str, Any]]) -> Markup:
    lines = [_series(epochs, "training_loss", "training"), _series(epochs, "validation_loss", "held-out renderings")]
    return curve_svg(lines, title="Loss per epoch", y_label="loss in nats")


def _accuracies(epochs: Sequence[Mapping[str, Any]]) -> Markup:
    lines = [
        _series(epochs, "validation_accuracy", "held-out renderings"),
        _series(epochs, "digits_probe_accuracy", "probe on digits"),
    ]
    return curve_svg(lines, title="Accuracy per epoch", y_label="accuracy", percent=True)


def _series(epochs: Sequence[Mapping[str, Any]], field: str, name: str) -> Series:
    values = np.array([row[field] for row in epochs], dtype=np.float64)  # NumPy reads None as NaN
    return Series(name, np.array([row["epoch"] for row in epochs], dtype=np.float64), values)
