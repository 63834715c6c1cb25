"""Which images of a data set a model is judged on, and which are left out, and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.data.columns import in_split
from vitrail.data.inspection import Inspection
from vitrail.data.inspection.findings import counted, listed
from vitrail.evaluation.judged_images import headline_split
from vitrail.models.parts.seen import Seen

EVERY = "all"

NEW, GIVEN = "new", "given"
"""What the judged images of an undivided data set are called: without those that the model was trained on; all."""


@dataclass(frozen=True)
class ChosenImages:
    """The images that are judged.

    Attributes:
        rows: readable images of classes that the model knows, with ids.
        measured_on: what they are called: `test`, `val`, `train`, `new` or `given`.
        told: sentences on what was chosen and what was left out.
    """

    rows: pa.Table
    measured_on: str
    told: tuple[str, ...]


def chosen_images(
    inspection: Inspection, *, name: str, classes: Sequence[str], split: str | None = None, known: Sequence[Seen] = ()
) -> ChosenImages:
    """The images of a data set that a model can be judged on.

    Args:
        inspection: of the data set.
        name: what the data set is called.
        classes: those that the model knows.
        split: `train`, `val`, `test` or `all`; None: the test images where some are marked as such, else the validation
            images, else those that no model was trained on, else all.
        known: what models know of their training images.

    Raises:
        InputError: there is no such split, or no image is left.
    """
    rows = inspection.table
    there = [each for each in ("train", "val", "test") if in_split(rows, each).num_rows]
    asked = split or (headline_split([*there, EVERY]) if "test" in there or "val" in there else EVERY)
    if asked not in (*there, EVERY):
        marked = f"it has {', '.join(there)}" if there else "its images are not divided"
        raise InputError(
            f"{name}: no image is marked {asked!r}; {marked}", hint=did_you_mean(asked, there) or "--split all"
        )
    told = []
    if asked != EVERY:
        rows = in_split(rows, asked)
        told.append(f"Judged on the images marked {asked!r}, {rows.num_rows:,} of {inspection.table.num_rows:,}.")
    elif split is None:
        rows, trained_on = _new(rows, known)
        told += trained_on
    measured_on = asked if asked != EVERY else NEW if rows.num_rows < inspection.table.num_rows else GIVEN
    rows, left_out = _readable(rows)
    rows, unknown = _known(rows, classes)
    if not rows.num_rows:
        faults = " ".join([*left_out, *unknown])
        raise InputError(f"{name}: no image is left to judge. {faults}", hint=f"the model knows {listed(classes)}")
    return ChosenImages(rows, measured_on, (*told, *left_out, *unknown))


def _new(rows: pa.Table, known: Sequence[Seen]) -> tuple[pa.Table, tuple[str, ...]]:
    """Images that no model was trained on, where there are some: figures on the others flatter."""
    trained_on = np.zeros(rows.num_rows, dtype=bool)
    for seen in known:
        trained_on |= seen.overlap([each or "" for each in rows["id"].to_pylist()])
    new = rows.filter(pa.array(~trained_on))
    if not trained_on.any() or not new.num_rows:
        return rows, ()
    left_out = (
        f"Judged on the {counted(new.num_rows, 'image')} that it was not trained on; {int(trained_on.sum()):,} of "
        f"{rows.num_rows:,} it was (--split all judges them, too)."
    )
    return new, (left_out,)


def _readable(rows: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
    unread = rows.filter(pc.invert(rows["readable"]))
    if not unread.num_rows:
        return rows, ()
    first = f"the first: {unread['fault'][0].as_py()}"
    left_out = f"{counted(unread.num_rows, 'image')} could not be read and {_are(unread)} in no figure ({first})."
    return rows.filter(rows["readable"]), (left_out,)


def _known(rows: pa.Table, classes: Sequence[str]) -> tuple[pa.Table, tuple[str, ...]]:
    is_known = pc.is_in(rows["label"], value_set=pa.array(classes, pa.string()))
    others = rows.filter(pc.invert(is_known))
    if not others.num_rows:
        return rows, ()
    by_label = Counter(others["label"].to_pylist())
    images = counted(others.num_rows, "image")
    labels = counted(len(by_label), "class", "classes")
    left_out = (
        f"{images} of {labels} that the model does not know {_are(others)} in no figure: {listed(sorted(by_label))}. "
        f"Whatever it answers about them is wrong."
    )
    return rows.filter(is_known), (left_out,)


def _are(rows: pa.Table) -> str:
    return "is" if rows.num_rows == 1 else "are"
