"""What an inspection says to a person, as plain text: on a terminal, and in Python as the result shows itself."""

import unicodedata
from typing import TYPE_CHECKING, Any

from vitrail.basics.natural_order import in_natural_order
from vitrail.basics.printable import printable
from vitrail.data.columns import shared_folder, without_folder
from vitrail.data.inspection.findings import Finding, counted
from vitrail.data.inspection.summary import WITHOUT_SPLIT

if TYPE_CHECKING:
    from vitrail.data.inspection.result import Inspection

SHOWN_DETAILS = 8

_LONGEST_SHOWN = 100

SHOWN_CLASSES = 12
"""The largest and the smallest of many classes that are named."""


def inspection_words(inspection: "Inspection", *, full: bool = False) -> str:
    """Summary, findings and verdict; `full` names every class and every file."""
    folder = shared_folder(inspection.table)
    findings = (
        f"\n{finding.severity:<8} {printable(finding.title)}{finding_words(finding, folder=folder, full=full)}\n"
        for finding in inspection.findings
    )
    return f"{summary_words(inspection.summary, full=full)}\n{''.join(findings)}\n{verdict(inspection)}"


def finding_words(finding: Finding, *, folder: str, full: bool) -> str:
    """What stands below a finding's title: its lines, without the folder that all images share, and the hint."""
    shown = finding.details if full else finding.details[:SHOWN_DETAILS]
    lines = [printable(without_folder(detail, folder)) for detail in shown]
    if len(finding.details) > len(shown):
        lines.append(f"(+{len(finding.details) - len(shown)} more; --full lists them)")
    if finding.hint:
        lines.append(f"hint: {finding.hint}")
    return "".join(f"\n         {line}" for line in lines)


def summary_words(summary: dict[str, Any], *, full: bool = False) -> str:
    """What is there: a small table of classes by split, sizes and kinds of files.

    Args:
        summary: see `summary_of`.
        full: name every class; otherwise, of many, the largest and the smallest.
    """
    splits = [split for split in ("train", "val", "test", WITHOUT_SPLIT) if split in summary["splits"]]
    heading = ["class", *("images" if split == WITHOUT_SPLIT else split for split in splits)]
    classes = {name: summary["classes"][name] for name in in_natural_order(summary["classes"])}
    rows = [[_short(name), *(f"{counts.get(split, 0):,}" for split in splits)] for name, counts in classes.items()]
    if len(rows) > 2 * SHOWN_CLASSES + 1 and not full:
        rows = _ends(rows, [sum(counts.values()) for counts in classes.values()])
    widths = [max(_width(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    table = "\n".join(_line(row, widths) for row in [heading, *rows])
    width, height = summary["width"], summary["height"]
    kinds = ", ".join(f"{count:,} {name}" for name, count in {**summary["formats"], **summary["modes"]}.items())
    return (
        f"{counted(summary['images'], 'image')} in {counted(len(classes), 'class', 'classes')}, "
        f"{summary['total_bytes'] / 1e6:,.1f} MB\n\n"
        f"{table}\n\n"
        f"sizes    {width['min']}-{width['max']} × {height['min']}-{height['max']} pixels, "
        f"median {width['median']} × {height['median']}\n"
        f"kinds    {kinds}"
    )


def _short(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def _ends(rows: list[list[str]], sizes: list[int]) -> list[list[str]]:
    """The largest classes, how many are between, and the smallest."""
    order = sorted(range(len(rows)), key=lambda row: (-sizes[row], row))
    between = [f"… {len(rows) - 2 * SHOWN_CLASSES:,} more (--full)", *("…" for _ in rows[0][1:])]
    largest, smallest = order[:SHOWN_CLASSES], order[-SHOWN_CLASSES:]
    return [*(rows[row] for row in largest), between, *(rows[row] for row in smallest)]


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
