"""Findings about single files: unlike all others, blank, of several frames."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from vitrail.data.inspection.findings import Finding, Severity, counted

_USUAL_SHARE, _ODD_SHARE = 0.95, 0.01

_ALL_BUT_A_FEW = 0.95

_BLANK_SHARE = 0.99
"""A picture that is one grey value on this share of its area shows nothing."""


def odd_file_findings(table: pa.Table) -> Iterator[Finding]:
    """Findings about files that differ from the rest or show less than they should.

    Args:
        table: an image table with the columns of the inspection, `dominant_share` among them.
    """
    rows = table.filter(pc.field("readable"))
    yield from _odd_kinds(rows)
    yield from _blank(rows)
    yield from _many_frames(rows)


def _odd_kinds(rows: pa.Table) -> Iterator[Finding]:
    kinds = list(zip(rows["format"].to_pylist(), rows["mode"].to_pylist(), strict=True))
    counts = Counter(kinds)
    if not counts:
        return
    (usual, most), *_ = counts.most_common(1)
    if most < _USUAL_SHARE * len(kinds):
        return
    paths = rows["path"].to_pylist()
    odd = [row for row, kind in enumerate(kinds) if counts[kind] < _ODD_SHARE * len(kinds)]
    # Another mode in the usual format is common and harmless: grey among colour photographs.
    by_severity: dict[Severity, list[int]] = {
        "warning": [row for row in odd if kinds[row][0] != usual[0]],
        "note": [row for row in odd if kinds[row][0] == usual[0]],
    }
    for severity, found in by_severity.items():
        if found:
            yield Finding(
                "odd-file",
                severity,
                f"{counted(len(found), 'file is', 'files are')} unlike the others, of which {most:,} are "
                f"{usual[0]} {usual[1]}",
                tuple(f"{paths[row]}: {kinds[row][0]} {kinds[row][1]}" for row in found),
                "look at them: such files are often placeholders, drawings or screenshots",
            )


def _blank(rows: pa.Table) -> Iterator[Finding]:
    blank = rows.filter(pc.field("dominant_share") >= _BLANK_SHARE)
    if rows.num_rows and blank.num_rows >= _ALL_BUT_A_FEW * rows.num_rows:
        yield Finding(
            "all-blank",
            "error",
            f"{blank.num_rows:,} of {rows.num_rows:,} pictures show nothing: black, or one grey nearly everywhere",
            tuple(blank["path"].to_pylist()),
            "there is nothing to learn from: look at the files (masks with values 0, 1, 2 or values beyond 8 bits that "
            "were cut off look like this) and export them again",
        )
    elif blank.num_rows:
        yield Finding(
            "blank",
            "warning",
            f"{counted(blank.num_rows, 'picture is', 'pictures are')} blank: one grey value nearly everywhere",
            tuple(blank["path"].to_pylist()),
            "remove them, or check how they were exported",
        )


def _many_frames(rows: pa.Table) -> Iterator[Finding]:
    # A table may name the frames it wants, each in a row of its own; then nothing is overlooked.
    named = Counter(rows["path"].to_pylist())
    found = [
        f"{path}: {frames:,} frames"
        for path, frames in zip(rows["path"].to_pylist(), rows["frames"].to_pylist(), strict=True)
        if frames > 1 and named[path] == 1
    ]
    if found:
        yield Finding(
            "many-frames",
            "note",
            f"{counted(len(found), 'file holds', 'files hold')} several frames, of which one is read",
            tuple(found),
            "name other frames in the column frame of a table, one row each",
        )
