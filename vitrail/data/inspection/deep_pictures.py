"""Findings about images of more than 8 bits: on which scale they are shown, and what does not fit on it."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vitrail.data.inspection.findings import Finding, counted
from vitrail.data.inspection.value_range import measured_tone
from vitrail.data.tone import Tone


def deep_findings(table: pa.Table) -> Iterator[Finding]:
    """Findings about values beyond 8 bits.

    Args:
        table: an image table with the columns of the inspection.
    """
    readable = table.filter(pc.field("readable"))
    deep = readable.filter(pc.field("depth") != "")
    if not deep.num_rows:
        return
    tone = tone_of(table)
    if deep.num_rows < readable.num_rows:
        yield Finding(
            "mixed-depth",
            "warning",
            f"{counted(deep.num_rows, 'image holds', 'images hold')} more than 8 bits, the other "
            f"{readable.num_rows - deep.num_rows:,} hold 8: what is equally bright in both may not be meant to be",
            (),
            "bring all images to one depth with one program, so that a value means the same in all of them",
        )
    if tone.floats == "shares":
        yield Finding(
            "mixed-units",
            "warning",
            "some images hold floating point from 0 to 1, others integers: 1 is taken for white beside "
            f"{tone.white:,.6g}",
            (),
            "store all images in one unit",
        )
    yield from _not_finite(deep)
    yield _scale(deep, tone)


def tone_of(table: pa.Table) -> Tone:
    """The scale that a fit would measure: on the images of `train` where there are such, else on all readable ones."""
    readable = table.filter(pc.field("readable"))
    training = readable.filter(pc.field("split") == "train")
    return measured_tone(training if training.num_rows else readable)


def tone_summary(table: pa.Table) -> dict[str, Any] | None:
    """The scale in plain values; None where all images have 8 bits."""
    deep = table.filter(pc.field("readable") & (pc.field("depth") != ""))
    if not deep.num_rows:
        return None
    return {
        "images": deep.num_rows,
        "least": pc.min(deep["least"]).as_py(),
        "greatest": pc.max(deep["white"]).as_py(),
        "not_finite": pc.sum(deep["not_finite"]).as_py(),
        **tone_of(table).model_dump(mode="json"),
    }


def _not_finite(deep: pa.Table) -> Iterator[Finding]:
    found = deep.filter(pc.field("not_finite") > 0)
    if found.num_rows:
        yield Finding(
            "not-finite",
            "warning",
            f"{counted(found.num_rows, 'image holds', 'images hold')} values that are infinite or not a number",
            tuple(
                f"{path}: {counted(count, 'value')}"
                for path, count in zip(found["path"].to_pylist(), found["not_finite"].to_pylist(), strict=True)
            ),
            "what is not a number is shown black, what is infinite black or white; check how they were exported",
        )


def _scale(deep: pa.Table, tone: Tone) -> Finding:
    least, greatest = pc.min(deep["least"]).as_py(), pc.max(deep["white"]).as_py()
    clipped = deep.filter((pc.field("least") < tone.black) | (pc.field("white") > tone.white))
    lines = [
        f"{path}: {low:,.6g} to {high:,.6g}"
        for path, low, high in zip(*(clipped[name].to_pylist() for name in ("path", "least", "white")), strict=True)
    ]
    beyond = f"; {counted(len(lines), 'image has', 'images have')} values beyond that" if lines else ""
    return Finding(
        "tone",
        "note",
        f"{counted(deep.num_rows, 'image holds', 'images hold')} more than 8 bits, values {least:,.6g} to "
        f"{greatest:,.6g}: all are shown on one scale, {tone.words()}{beyond}",
        tuple(lines),
        "the package keeps the scale; what is beyond it is black or white",
    )
