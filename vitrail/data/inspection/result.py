"""The inspection's result: the table with what was learned of every file, the findings, and a summary."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from vitrail.data.inspection.deep_pictures import deep_findings
from vitrail.data.inspection.duplicates import duplicate_findings, near_duplicate_findings
from vitrail.data.inspection.file_columns import INTERNAL
from vitrail.data.inspection.findings import Finding
from vitrail.data.inspection.odd_files import odd_file_findings
from vitrail.data.inspection.passed_over_files import NOTHING, PassedOverByClass, passed_over_findings
from vitrail.data.inspection.pictures import ReadablePictures, near_pairs, pictures_of
from vitrail.data.inspection.structure import empty_folder_findings, structure_findings
from vitrail.data.inspection.summary import summary_of
from vitrail.data.inspection.telltale import telltale_findings
from vitrail.data.inspection.words import inspection_words
from vitrail.pages.shown_as_text import ShownAsText


@dataclass(frozen=True, repr=False)
class Inspection(ShownAsText):
    """What the inspection of a data set tells.

    Attributes:
        table: the image table with the columns of `examine.FileFacts` (but the perceptual ones), `readable` (bool) and
            `near_duplicate_cluster` (a number that look-alikes share, null where there are none).
        findings: errors first, then warnings, then notes.
        summary: see `summary.summary_of`; and `passed_over`, {class: {kind of file: count}}.
        near_pairs_across_splits: paths of pictures that look the same in different files and splits, the one in the
            earlier of train, val, test first.
    """

    table: pa.Table
    findings: tuple[Finding, ...]
    summary: dict[str, Any]
    near_pairs_across_splits: tuple[tuple[str, str], ...]

    def lines(self, *, full: bool = False) -> list[str]:
        """Summary, findings and verdict; `full` names every class and every file."""
        return inspection_words(self, full=full).split("\n")

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What must be mended."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What deserves a look."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is only said."""
        return tuple(finding for finding in self.findings if finding.severity == "note")

    def with_finding(self, finding: Finding) -> "Inspection":
        """The same with one finding more, behind others as severe."""
        return replace(self, findings=_in_order((*self.findings, finding)))

    def as_json(self) -> dict[str, Any]:
        """Plain values: the summary, all findings in full, near duplicates across splits, and whether all is well."""
        return {
            "ok": not self.errors,
            "summary": self.summary,
            "findings": [finding.as_json() for finding in self.findings],
            "near_pairs_across_splits": [list(pair) for pair in self.near_pairs_across_splits],
        }


def inspection_of(
    table: pa.Table, *, empty_classes: tuple[str, ...] = (), passed_over: PassedOverByClass = NOTHING, workers: int = 0
) -> Inspection:
    """Draw the conclusions from an image table with all columns of the inspection.

    Args:
        table: the table.
        empty_classes: classes that were announced, by a folder say, and have no row.
        passed_over: files that are not in the table, counted by class and kind.
        workers: processes that read once more what looks alike.
    """
    pictures = pictures_of(table, workers=workers)
    findings = (*_findings(table, pictures, empty_classes), *passed_over_findings(passed_over))
    return Inspection(
        table=_with_clusters(table.drop_columns(list(INTERNAL)), pictures),
        findings=_in_order(findings),
        summary={**summary_of(table), "passed_over": {label: dict(counts) for label, counts in passed_over.items()}},
        near_pairs_across_splits=tuple(
            (pictures.path[one], pictures.path[other])
            for one, other in near_pairs(pictures, lambda row: pictures.split[row])
        ),
    )


def _in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = ("error", "warning", "note")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def _findings(table: pa.Table, pictures: ReadablePictures, empty_classes: tuple[str, ...]) -> Iterator[Finding]:
    yield from structure_findings(table)
    yield from empty_folder_findings(empty_classes)
    yield from duplicate_findings(pictures)
    yield from telltale_findings(table)
    yield from near_duplicate_findings(pictures)
    yield from odd_file_findings(table)
    yield from deep_findings(table)


def _with_clusters(table: pa.Table, pictures: ReadablePictures) -> pa.Table:
    of_readable = iter(pictures.clusters)
    clusters = [next(of_readable) if readable else -1 for readable in table["readable"].to_pylist()]
    column = pa.array([None if cluster < 0 else cluster for cluster in clusters], pa.int64())
    return table.append_column("near_duplicate_cluster", column)
