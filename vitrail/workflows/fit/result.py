"""What a fit gives back."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.evaluation.judging import Judged
from vitrail.evaluation.quality import Quality
from vitrail.evaluation.section import Section
from vitrail.evaluation.training_section import curve_words
from vitrail.measures.intervals import Measure
from vitrail.pages.shown_as_text import ShownAsText


@dataclass(frozen=True, repr=False)
class FitResult(ShownAsText):
    """What a fit leaves behind.

    Attributes:
        run: the run folder.
        package: the folder that `vitrail.load` and timm read.
        report: the page to read.
        judged: by split, the held-out images with their attributes and what was answered about them (`images`), and
            the figures.
        seconds: from the start of the fit until everything was on disk.
        passed_over: files that were not used because of their names, by class and kind; see `ImageTable`.
        sections: the parts of the report by name, e.g. `sections["training"].figures["curve"]`.
    """

    run: Path
    package: Path
    report: Path
    judged: Judged
    seconds: float
    passed_over: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sections: Mapping[str, Section] = field(default_factory=dict)

    @property
    def quality(self) -> dict[str, Quality]:
        """Figures of the kept model by split, each measured on images that neither trained nor chose it."""
        return self.judged.quality

    @property
    def neighbours(self) -> dict[str, Measure]:
        """Accuracy of nearest neighbours on the same features, by split."""
        return self.judged.neighbours

    @property
    def learning_curve(self) -> Mapping[str, Any] | None:
        """What the course of training tells, as in `report.json`; None where nothing but the probe was trained."""
        training = self.sections.get("training")
        return None if training is None else training.figures["curve"]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "run": str(self.run),
            "package": str(self.package),
            "report": str(self.report),
            "quality": {split: quality.as_json() for split, quality in self.quality.items()},
            "neighbours": {split: measure.as_json() for split, measure in self.neighbours.items()},
            "passed_over": {label: dict(kinds) for label, kinds in self.passed_over.items()},
            "learning_curve": None if self.learning_curve is None else dict(self.learning_curve),
            "seconds": round(self.seconds, 2),
        }

    def lines(self) -> list[str]:
        """The figures, where everything is, and the next command."""
        figures = [line for split in self.quality for line in self._figures(split)]
        curve = [] if self.learning_curve is None else [f"training {curve_words(self.learning_curve)}"]
        gain = self.sections["gain"].sentences if "gain" in self.sections else ()
        return [
            *figures,
            *curve,
            *(f"gain     {each.text}" for each in gain),
            "",
            f"package  {self.package}",
            f"report   {self.report}",
            f"time     {self.seconds:.1f} s",
            f"next     vitrail predict {shlex.quote(str(self.package))} IMAGES…",
        ]

    def _figures(self, split: str) -> list[str]:
        quality = self.quality[split]
        decision, p_value = quality.verdict.decision, quality.verdict.p_value
        told = decision if decision == "not enough evidence" else f"{decision} than that, p = {p_value:.2g}"
        return [
            f"{split:<9}{quality.accuracy.text()}   nearest neighbours {self.neighbours[split].text()}",
            f"         always the most frequent class {quality.majority.text()}: {told}",
        ]
