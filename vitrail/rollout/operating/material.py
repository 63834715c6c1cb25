"""What a replacement is fitted on: the data that the policy names, and feedback beside it, as one table in a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.files import atomic_file, sha256_of
from vitrail.data.columns import FIXED
from vitrail.data.image_table import read_image_table
from vitrail.data.named_columns import NamedColumns
from vitrail.monitoring.told_requests import ToldRequest
from vitrail.rollout.operating.feedback_images import FeedbackImage, feedback_images
from vitrail.rollout.operating.policy import MaterialSettings

FEEDBACK_COLUMN = "feedback"
"""Says `yes` for images that came from feedback; an attribute like others."""


@dataclass(frozen=True)
class Material:
    """The table.

    Attributes:
        file: Parquet, as `fit` takes it.
        sha256: of the file.
        images: of the data.
        feedback: images that came from feedback.
        sentence: what was taken and left out.
    """

    file: Path
    sha256: str
    images: int
    feedback: int
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"file": str(self.file), "sha256": self.sha256, "images": self.images, "feedback_images": self.feedback,
                "sentence": self.sentence}  # fmt: skip


def write_material(
    file: Path, settings: MaterialSettings, told: Sequence[ToldRequest], *, feedback: bool, attribute: str | None = None
) -> Material:
    """Write the table of a replacement; what stood in the file is replaced at once.

    Args:
        file: where.
        settings: which data, and how much feedback.
        told: requests whose truth came, the latest first.
        feedback: whether they are used.
        attribute: a column that the mitigation needs.

    Raises:
        InputError: the data is not as expected, or has no such column.
        SystemFault: the disk is full or may not be written.
    """
    rows = read_image_table(NamedColumns(settings.data, settings.columns)).rows
    _refuse_without(attribute, rows, settings.data)
    share, sentence = settings.most_feedback_share, f"{rows.num_rows:,} images of {settings.data}"
    images: Sequence[FeedbackImage] = ()
    if feedback and settings.feedback_images:
        held_out = read_image_table(NamedColumns(settings.held_out, settings.held_out_columns)).rows
        found = feedback_images(
            told, [Path(each).expanduser() for each in settings.feedback_images],
            classes=sorted(set(rows["label"].to_pylist())),
            taken=[*rows["path"].to_pylist(), *held_out["path"].to_pylist()],
            most=int(share / (1 - share) * rows.num_rows),
        )  # fmt: skip
        images = found.images
        left = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items())
        sentence += f" and {len(images):,} from feedback{f' (left out: {left})' if left else ''}"
    elif settings.feedback_images:
        sentence += ", without feedback"
    table = with_feedback(rows, images)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as sink:
        pq.write_table(table, sink)
    return Material(file, sha256_of(file), rows.num_rows, len(images), f"{sentence}.")


def with_feedback(rows: pa.Table, images: Sequence[FeedbackImage]) -> pa.Table:
    """The rows of the data and those of feedback, which are trained on; attributes are columns, whoever has them."""
    names = [name for name in rows.column_names if name != FEEDBACK_COLUMN]
    told = sorted({name for each in images for name, _ in each.attributes} - {*FIXED, FEEDBACK_COLUMN})
    columns: dict[str, pa.Array] = {}
    for name in [*names, *(each for each in told if each not in names)]:
        own = rows[name].combine_chunks() if name in names else pa.nulls(rows.num_rows, pa.string())
        columns[name] = pa.concat_arrays(_of_one_kind(own, _more(name, images)))
    said = [None] * rows.num_rows + ["yes"] * len(images)
    return pa.table({**columns, **({FEEDBACK_COLUMN: pa.array(said, pa.string())} if images else {})})


def _of_one_kind(own: pa.Array, more: pa.Array) -> list[pa.Array]:
    """Numbers stay numbers where all that was told are some; else both become words."""
    try:
        return [own, more.cast(own.type)]
    except pa.ArrowInvalid:
        return [own.cast(pa.string()), more.cast(pa.string())]


def _more(name: str, images: Sequence[FeedbackImage]) -> pa.Array:
    match name:
        case "path":
            return pa.array([each.path for each in images], pa.string())
        case "label":
            return pa.array([each.label for each in images], pa.string())
        case "split":
            return pa.array(["train"] * len(images), pa.string())
        case "frame":
            return pa.array([0] * len(images), pa.int32())
        case "group":
            return pa.nulls(len(images), pa.string())
    return pa.array([dict(each.attributes).get(name) for each in images], pa.string())


def _refuse_without(attribute: str | None, rows: pa.Table, data: str) -> None:
    there = [name for name in rows.column_names if name not in FIXED]
    if attribute is not None and attribute not in there:
        raise InputError(
            f"{data} has no column {attribute!r}, which the mitigation needs",
            hint=did_you_mean(attribute, there)
            or (f"it has {', '.join(there)}" if there else "use a CSV with attributes"),
        )
    if attribute is not None and pc.count_distinct(rows[attribute]).as_py() < 2:
        raise InputError(f"{data}: {attribute} has one value only, there are no groups", hint="name another attribute")
