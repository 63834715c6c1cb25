"""What an inspection says to a person, as plain text: on a terminal, and in Python as the result shows itself."""

import unicodedata
from typing import TYPE_CHECKING, Any

from vitrail.basics.printable import printable
from vitrail.data.columns import shared_folder, without_folder
from vitrail.data.inspection.findings import Finding
from vitrail.data.inspection.summary import WITHOUT_SPLIT

if TYPE_CHECKING:
    from vitrail.data.inspection.result import Inspection

SHOWN_DETAILS = 8


def inspection_words(inspection: "Inspection") -> str:
    """Summary, findings and verdict."""
    folder = shared_folder(inspection.table)
    findings = (
        f"\n{finding.severity:<8} {printable(finding.title)}{finding_words(finding, folder=folder, full=False)}\n"
        for finding in inspection.findings
    )
    return f"{summary_words(inspection.summary)}\n{''.join(findings)}\n{verdict(inspection)}"


def finding_words(finding: Finding, *, folder: str, full: bool) -> str:
    """What stands below a finding's title: its lines, without the folder that all images share, and the hint."""
    shown = finding.details if full else finding.details[:SHOWN_DETAILS]
    lines = [printable(without_folder(detail, folder)) for detail in shown]
    if len(finding.details) > len(shown):
        lines.append(f"(+{len(finding.details) - len(shown)} more; --full lists them)")
    if finding.hint:
        lines.append(f"hint: {finding.hint}")
    return "".join(f"\n         {line}" for line in lines)


def summary_words(summary: dict[str, Any]) -> str:
    """What is there: a small table of classes by split, sizes and kinds of files."""
    splits = [split for split in ("train", "val", "test", WITHOUT_SPLIT) if split in summary["splits"]]
    heading = ["class", *("images" if split == WITHOUT_SPLIT else split for split in splits)]
    classes = {printable(name): counts for name, counts in summary["classes"].items()}
    rows = [[name, *(f"{counts.get(split, 0):,}" for split in splits)] for name, counts in classes.items()]
    widths = [max(_width(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    table = "\n".join(_line(row, widths) for row in [heading, *rows])
    width, height = summary["width"], summary["height"]
    kinds = ", ".join(f"{count:,} {name}" for name, count in {**summary["formats"], **summary["modes"]}.items())
    return (
        f"{summary['images']:,} images in {len(summary['classes'])} classes, {summary['total_bytes'] / 1e6:,.1f} MB\n\n"
        f"{table}\n\n"
        f"sizes    {width['min']}-{width['max']} × {height['min']}-{height['max']} pixels, "
        f"median {width['median']} × {height['median']}\n"
        f"kinds    {kinds}"
    )


def verdict(inspection: "Inspection") -> str:
    """How much is to be done, in a sentence."""
    errors, warnings = len(inspection.errors), len(inspection.warnings)
    if errors:
        return f"{errors} to fix, {warnings} to look at."
    return f"Nothing to fix, {warnings} to look at." if warnings else "Nothing to fix."


def _line(row: list[str], widths: list[int]) -> str:
    name, *counts = row
    cells = [name + " " * (widths[0] - _width(name))]
    cells += [count.rjust(width) for count, width in zip(counts, widths[1:], strict=True)]
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns on a terminal: Chinese signs take two, accents of their own none."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )
