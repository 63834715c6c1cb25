"""`vitrail demo`: a fit of a few built-in digits with the starter weights, and what they gain over none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, nobody
from vitrail.models.sources import STARTER
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.prediction.answers import Prediction
from vitrail.prediction.predictor import load
from vitrail.workflows.fit.finish import finish_fit
from vitrail.workflows.fit.model import chosen_fit
from vitrail.workflows.fit.result import FitResult
from vitrail.workflows.fit.start import StartedFit

SETTINGS: dict[str, Any] = {
    "image_size": 32, "all_epochs": 8, "compare": "scratch", "flip": False, "smallest_crop": 0.8,
}  # fmt: skip
"""What fits into a minute on two processor cores; a mirrored or half-cut digit is another one."""

SHOWN = 5
"""Classes of which one image is shown with what the package says."""


@dataclass(frozen=True, repr=False)
class DemoResult(ShownAsText):
    """The finished fit, and what its package says of some validation images; `truths` are their labels."""

    fit: FitResult
    predictions: list[Prediction]
    truths: list[str]

    @property
    def report(self) -> Path:
        """The page to read."""
        return self.fit.report

    def lines(self) -> list[str]:
        """Some predictions, what the fit says of itself, and what to do with one's own images."""
        pairs = zip(self.truths, self.predictions, strict=True)
        told = (f"  a {truth}: the model says {said.label} ({said.probability:.1%})" for truth, said in pairs)
        return [
            "predictions of the package on images that it was not trained on:", *told, "",
            *self.fit.lines(), "",
            "on your own folder of classes:",
            "         vitrail fit PHOTOS                     (weights that know photographs, where there is a network)",
            "         vitrail fit PHOTOS --model starter     (no network needed)",
        ]  # fmt: skip


def finish_demo(started: StartedFit, *, emit: Emit = nobody) -> DemoResult:
    """Fit the images that are being read, then use the package as anybody would."""
    chosen = chosen_fit(STARTER, SETTINGS, run=started.out)
    fit = finish_fit(started, chosen, command="vitrail demo", emit=emit)
    first = _one_of_each_class(started)
    return DemoResult(fit, load(fit.package).predict(list(first.values())), list(first))


def _one_of_each_class(started: StartedFit) -> dict[str, str]:
    """By class: the first validation image's path."""
    rows = started.check.images.rows
    columns = zip(rows["label"].to_pylist(), rows["path"].to_pylist(), rows["split"].to_pylist(), strict=True)
    found: dict[str, str] = {}
    for label, path, split in columns:
        if split == "val":
            found.setdefault(label, path)
    return dict(sorted(found.items())[:SHOWN])
