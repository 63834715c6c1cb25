"""The report of an evaluation, and what it gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.data.columns import ImageHome
from vitrail.data.inspection import Finding
from vitrail.data.inspection.trained_on import trained_on_finding
from vitrail.evaluation.attribute_groups import own_attributes
from vitrail.evaluation.background import cautions_section, findings_section
from vitrail.evaluation.evaluations import Outcome, scope_section
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.most_wrong import most_wrong_section
from vitrail.evaluation.section import Section
from vitrail.evaluation.subject import Subject
from vitrail.evaluation.summary import summary_section
from vitrail.measures.intervals import Measure
from vitrail.pages.shown_as_text import ShownAsText


@dataclass(frozen=True, repr=False)
class EvaluationResult(ShownAsText):
    """What an evaluation gives.

    Attributes:
        run: the run folder.
        report: the page to read; `report.json` beside it holds the same numbers.
        judged: the images with their attributes, and what was answered about them.
        sections: of the report by name, e.g. `sections["quality"].figures`.
        not_judged: why, by the name of every evaluation that was not.
        seconds: from the call until everything was on disk.
    """

    run: Path
    report: Path
    judged: JudgedImages
    sections: Mapping[str, Section]
    not_judged: Mapping[str, str]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "run": str(self.run),
            "report": str(self.report),
            "n": len(self.judged),
            "sections": {name: section.as_json() for name, section in self.sections.items()},
            "not_judged": dict(self.not_judged),
            "seconds": round(self.seconds, 2),
        }

    def lines(self) -> list[str]:
        """The verdicts, what was not judged, and where the report is."""
        sections = (section for name, section in self.sections.items() if name not in ("scope", "findings"))
        verdicts = [
            f"{'' if number else section.name:<11}{sentence.text}"
            for section in sections
            for number, sentence in enumerate(each for each in section.sentences if each.verdict)
        ]
        missing = [f"{name:<11}not judged: {why}" for name, why in self.not_judged.items()]
        return [
            *self._accuracy(),
            *self._flattered(),
            *verdicts,
            *missing,
            "",
            f"report     {self.report}",
            f"time       {self.seconds:.1f} s",
        ]

    def _accuracy(self) -> list[str]:
        if "quality" not in self.sections:
            return []
        quality = self.sections["quality"].figures["splits"][self.judged.measured_on]
        told = [f"{'accuracy':<11}{Measure.from_json(quality['accuracy']).text()}"]
        fresh = self.sections["quality"].figures["leak_free_accuracy"]
        if fresh is not None:
            told.append(f"{'':<11}{Measure.from_json(fresh).text()} of those that it was not trained on")
        return told

    def _flattered(self) -> list[str]:
        """Whether the model knew some of these images, beside the accuracy that is the higher for it."""
        findings = self.sections["findings"].figures["findings"] if "findings" in self.sections else []
        told = [each for each in findings if each["code"] == "trained-on-by-package" and each["severity"] == "warning"]
        return [f"{'warning':<11}{each['title']}" for each in told]


def report_sections(
    subject: Subject, outcome: Outcome, findings: Sequence[Finding], told: Sequence[str]
) -> tuple[Section, ...]:
    """The report of an evaluation, part by part.

    Args:
        subject: what was judged.
        outcome: what came of the evaluations.
        findings: of the check.
        told: sentences on which images were judged.
    """
    judged, home = subject.judged, ImageHome.of(subject.judged.rows)
    known = subject.known_images()
    if known is not None:
        findings = [trained_on_finding(judged.rows, known.overlap(judged.ids), of=len(known)), *findings]
    parts: list[Section] = []
    for section in outcome.sections:
        parts.append(section)
        if section.name == "quality":
            worst = section.figures["splits"][judged.measured_on]["most_wrong"]
            tone = None if subject.predictor is None else subject.predictor.preprocessing.tone
            parts.append(most_wrong_section(judged, tuple(worst), home, tone=tone))
    attributes = own_attributes(judged)
    by_name = {section.name: section for section in parts}
    return (
        summary_section(by_name, outcome.not_judged, judged.classes, attributes),
        *parts,
        scope_section(outcome, told),
        findings_section(findings, home),
        cautions_section(judged.classes, attributes),
    )
