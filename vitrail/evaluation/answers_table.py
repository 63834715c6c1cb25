"""Judged images from a table of answers alone, without a model or images: `answers.parquet` as a fit writes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.data.cells import attribute_of, texts_of
from vitrail.data.table_files import opened_table
from vitrail.data.tables import as_table
from vitrail.evaluation.answers_decision import decision_of_table, without_escape
from vitrail.evaluation.judged_images import JudgedImages, headline_split

NEEDED = ("id", "label")
_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_OURS = ("id", "split", "label", "group", "predicted", "decided")
_PREFIX = "p_"
EVERY = "all"


def is_answers_table(path: str | Path) -> bool:
    """Whether a file is a table of answers: it has ids, labels and probabilities, and is no table of images."""
    return _is_table(path) and not _lacks(path)


def refuse_table_without_answers(path: str | Path) -> None:
    """Raise where a file stands for a model that is a table, but not of answers.

    Raises:
        InputError: it is; with what it lacks.
    """
    lacks = _lacks(path) if _is_table(path) else ""
    if lacks:
        raise InputError(
            f"{path} is no table of answers: it has no {lacks}",
            hint="a table of answers has id, label and p_CLASS for every class; a package is a folder",
        )


def _is_table(path: str | Path) -> bool:
    if not isinstance(path, str | Path):
        return False  # whoever opens packages says what was expected
    file = Path(path).expanduser()
    return file.is_file() and file.suffix.lower() in _TABLES


def _lacks(path: str | Path) -> str:
    names = opened_table(Path(path).expanduser()).names
    missing = [f"column {each!r}" for each in NEEDED if each not in names]
    return " and no ".join([*missing, *([] if any(name.startswith(_PREFIX) for name in names) else ["column p_CLASS"])])


def judged_of_answers(
    answers: Any, *, attributes: Any = None, split: str | None = None, name: str | None = None
) -> JudgedImages:
    """What a table of answers says, ready to be judged.

    >>> judged = judged_of_answers("runs/ants/answers.parquet", attributes="patients.csv")  # doctest: +SKIP

    Args:
        answers: a `.csv`, `.tsv` or `.parquet` file, or a table in memory: `id`, `label` and for every class its
            probability in a column `p_CLASS`; if there are any, `split`, `group` (of images that belong together) and
            attributes.
        attributes: another table with `id` and further columns; joined by id, in whatever order. An image it does not
            name has no value.
        split: which images; None: the test images where there are some, else the validation images, else all; `all`.
        name: what the images are called where they have no split; None: the file's name.

    Raises:
        InputError: a column is missing, an id stands twice with different attributes, a probability is no number, or
            an answer is not the most probable class, or was decided otherwise and the table does not say how.
    """
    table, written, source = _read(answers)
    for each in NEEDED:
        _refuse_without(each, table, source)
    table, measured_on = _of_split(table, split, name or Path(source).stem, source)
    classes, probabilities = _probabilities(table, source)
    columns = {each: texts_of(table[each], each, source) for each in _OURS if each in table.column_names}
    decision = decision_of_table(answers, columns.get("decided"), classes, probabilities, source)
    labels = without_escape(columns["label"], classes)
    _refuse_other_answers(columns.get("predicted"), classes, probabilities, source)
    count = table.num_rows
    groups = columns.get("group")
    rows = {
        "path": columns["id"],
        "label": labels,
        "split": columns.get("split", pa.nulls(count, pa.string())),
        "group": pa.nulls(count, pa.string()) if groups is None else _of_their_split(groups, columns.get("split")),
        "id": columns["id"],
        **_own_columns(table, written, ours=(*_OURS, "path", *(f"{_PREFIX}{name}" for name in classes))),
    }
    joined = pa.table(rows)
    if attributes is not None:
        joined = _with_attributes(joined, attributes)
    return JudgedImages(
        joined, probabilities, classes, measured_on, _numbered(joined["group"]), decision=decision
    )  # fmt: skip


def judged_splits(file: Path) -> dict[str, JudgedImages]:
    """What a run's table of answers says, by split.

    Raises:
        InputError: see `judged_of_answers`; there is no such file.
    """
    table, _, source = _read(file)
    _refuse_without("split", table, source)
    return {split: judged_of_answers(file, split=split) for split in table["split"].drop_null().unique().to_pylist()}


def _read(source: Any) -> tuple[pa.Table, bool, str]:
    """The table, whether all its cells were text in a file, and what errors call it."""
    if not isinstance(source, str | Path):
        return as_table(source), False, "the table"
    file = Path(source).expanduser()
    if file.is_dir():
        raise InputError(
            f"{source}: it is a folder, a table was expected", hint="a .parquet, .csv or .tsv file with id"
        )
    if not file.is_file():
        raise InputError(f"{source}: there is no such file", hint="a fit writes answers.parquet beside its report")
    opened = opened_table(file)
    pieces = list(opened.pieces(opened.names))
    empty = pa.table({name: pa.array([], pa.string()) for name in opened.names})
    return (pa.concat_tables(pieces) if pieces else empty), opened.written, str(source)


def _refuse_without(column: str, table: pa.Table, source: str) -> None:
    if column not in table.column_names:
        there = table.column_names
        raise InputError(
            f"{source}: no column {column!r}; it has {', '.join(there[:12])}",
            hint=did_you_mean(column, there) or "a table of answers has id, label and p_CLASS for every class",
        )
    if table[column].null_count:
        row = pc.index(table[column].is_null(), True).as_py() + 1
        raise InputError(f"{source}: column {column!r} is empty in row {row}", hint="fill this cell or remove the row")


def _of_split(table: pa.Table, split: str | None, name: str, source: str) -> tuple[pa.Table, str]:
    there = [] if "split" not in table.column_names else table["split"].drop_null().unique().to_pylist()
    if split == EVERY or (split is None and not there):
        return table, there[0] if len(there) == 1 else name
    asked = split or headline_split(there)
    if asked not in there:
        marked = f"it has {', '.join(map(str, there))}" if there else "its images are not divided"
        raise InputError(f"{source}: no image is marked {asked!r}; {marked}", hint="--split all")
    return table.filter(pc.equal(table["split"], asked)), asked


def _probabilities(table: pa.Table, source: str) -> tuple[tuple[str, ...], Float[np.ndarray, "N K"]]:
    names = [name for name in table.column_names if name.startswith(_PREFIX)]
    if not names:
        raise InputError(
            f"{source}: no column of probabilities", hint="each class needs one, p_ before its name, e.g. p_ants"
        )
    columns = []
    for name in names:
        try:
            values = pc.cast(table[name], pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        except pa.ArrowInvalid as error:
            raise InputError(f"{source}: column {name!r} holds something that is no number: {error}") from error
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
            raise InputError(
                f"{source}: column {name!r} is no probability in row {row}", hint="remove rows that have no answer"
            )
        columns.append(values)
    return tuple(name.removeprefix(_PREFIX) for name in names), np.stack(columns, axis=1)


def _refuse_other_answers(
    predicted: pa.ChunkedArray | None, classes: tuple[str, ...], probabilities: Float[np.ndarray, "N K"], source: str
) -> None:
    if predicted is None:
        return
    said = without_escape(predicted, classes).to_pylist()
    likeliest = probabilities.max(axis=1)
    number = {name: k for k, name in enumerate(classes)}
    wrong = [
        row
        for row, name in enumerate(said)
        if name is not None and (name not in number or probabilities[row, number[name]] < likeliest[row] - 1e-9)
    ]
    if wrong:
        raise InputError(
            f"{source}: in {len(wrong):,} of {len(said):,} rows the answer is not the most probable class, first in "
            f"row {wrong[0] + 1}: {said[wrong[0]]!r}",
            hint="leave out the column predicted, and what is most probable is the answer",
        )


def _of_their_split(groups: pa.ChunkedArray, splits: pa.ChunkedArray | None) -> pa.Array:
    """Groups are numbered within their split: the first of one is not the first of another."""
    if splits is None:
        return groups.combine_chunks()
    pairs = zip(groups.to_pylist(), splits.to_pylist(), strict=True)
    return pa.array([None if group is None else f"{split} {group}" for group, split in pairs], pa.string())


def _own_columns(table: pa.Table, written: bool, ours: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    names = [name for name in table.column_names if name not in ours]
    found = {name: attribute_of(table[name], written=written) for name in names}
    return {name: column for name, column in found.items() if column is not None}


def _with_attributes(rows: pa.Table, source: Any) -> pa.Table:
    table, written, called = _read(source)
    _refuse_without("id", table, called)
    own = _own_columns(table, written, ours=("id", "path", "label", "split", "group"))
    if not own:
        raise InputError(
            f"{called}: there is no attribute; it has {', '.join(table.column_names[:12])}",
            hint="columns beside id are attributes, e.g. sex or site; path, label, split and group are none",
        )
    clash = [name for name in own if name in rows.column_names]
    if clash:
        raise InputError(
            f"{called}: the column {clash[0]!r} is in the table of answers, too", hint="rename one of both"
        )
    ids = texts_of(table["id"], "id", called).to_pylist()
    lines = list(zip(*(_comparable(each) for each in own.values()), strict=True))
    values = dict(zip(ids, lines, strict=True))
    for identity, line in zip(ids, lines, strict=True):
        if values[identity] != line:
            raise InputError(
                f"{called}: the id {identity!r} stands there twice, with different attributes",
                hint="an image has one value of each attribute: remove one of the rows",
            )
    wanted = rows["id"].to_pylist()
    if not any(each in values for each in wanted):
        raise InputError(
            f"{called}: none of its {len(ids):,} ids is one of the {len(wanted):,} answered images",
            hint="ids are those of the image table: the hash of a file's content; vitrail predict --json shows them",
        )
    nothing = (None,) * len(own)
    lines = [values.get(each, nothing) for each in wanted]
    for place, (name, column) in enumerate(own.items()):
        rows = rows.append_column(name, pa.array([line[place] for line in lines], column.type))
    return rows


def _comparable(column: pa.ChunkedArray) -> list[Any]:
    """Values as they are; NaN, which is not even equal to itself, as an empty cell."""
    return [None if each != each else each for each in column.to_pylist()]


def _numbered(groups: pa.ChunkedArray) -> Int[np.ndarray, "N"] | None:
    """Groups numbered from 0; an image without one is a group of its own; None where all images are independent."""
    names = groups.to_pylist()
    if all(each is None for each in names):
        return None
    unique = [(place,) if each is None else each for place, each in enumerate(names)]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(unique))}
    return np.array([numbers[each] for each in unique], dtype=np.int64)
