"""CSV, Parquet and tables in memory to rows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vitrail.basics.errors import InputError, nearest_names
from vitrail.data.cells import attribute_of, distinct_names, table_of_pandas, texts_of
from vitrail.data.columns import FIXED, rows, split_word
from vitrail.data.embedded_images import holds_images, one_embedding, written_images
from vitrail.data.missing_files import refuse_missing_files
from vitrail.data.named_columns import NamedColumns
from vitrail.data.readers.known import is_named_like_an_image
from vitrail.data.table_files import TableFile, opened_table

_IN_PIECES = ("path", "frame", "label", "split")


def rows_from_file(file: Path, columns: NamedColumns) -> pa.Table:
    """Rows of a `.csv`, `.tsv` or `.parquet` file; relative paths are relative to the file's folder.

    Raises:
        InputError: the file is of another kind, is no valid table, lacks a column, or names missing images.
    """
    opened = opened_table(file)
    read_as = _read_as(opened, columns, needed=("path", "label"))
    nested = [name for name, ours in read_as.items() if ours not in FIXED and pa.types.is_nested(opened.types[name])]
    wanted = [name for name in read_as if name not in nested]
    pieces = [_ours(piece, read_as, opened) for piece in opened.pieces(wanted)]
    names = [read_as[name] for name in wanted]
    table = pa.concat_tables(pieces, promote_options="permissive") if pieces else pa.table({n: [] for n in names})
    return _rows(table, str(file), base=file.absolute().parent, written=opened.written)


def batches_from_file(file: Path, columns: NamedColumns) -> Iterator[pa.Table]:
    """`path`, `frame`, `label` and `split` of a table file's rows, in pieces: it is never in memory as a whole.

    The label may be missing, in some rows or in all; whether the images exist is left to those who read them.

    Raises:
        InputError: the file is of another kind, is no valid table, or has no column `path` or a row without one.
    """
    opened = opened_table(file)
    read_as = _read_as(opened, columns, needed=("path",))
    wanted = [name for name, ours in read_as.items() if ours in _IN_PIECES]
    first = 0
    for piece in opened.pieces(wanted):
        yield _piece(_ours(piece, read_as, opened), str(file), file.absolute().parent, first)
        first += piece.num_rows


def batches_from_frame(columns: NamedColumns) -> Iterator[pa.Table]:
    """As `batches_from_file`, for a pyarrow table or a pandas frame."""
    yield _piece(_from_memory(columns, needed=("path",)), "the table", Path.cwd(), 0)


def rows_from_frame(columns: NamedColumns) -> pa.Table:
    """Rows of a pyarrow table or a pandas frame; relative paths are relative to the current folder.

    Raises:
        InputError: it is neither, lacks a column, or names missing images.
    """
    return _rows(_from_memory(columns, needed=("path", "label")), "the table", base=Path.cwd(), written=False)


def _from_memory(columns: NamedColumns, needed: Sequence[str]) -> pa.Table:
    table = as_table(columns.data)
    names = distinct_names(table.column_names)
    repeated = frozenset(name for name in names if table.column_names.count(name) > 1)
    table = table.rename_columns(names)
    types = dict(zip(names, table.schema.types, strict=True))
    opened = TableFile(Path("the table"), names, repeated, False, {}, types)
    read_as = _read_as(opened, columns, needed=needed)
    return _ours(table.select(list(read_as)), read_as, opened)


def as_table(frame: Any) -> pa.Table:
    """A pyarrow table, a pandas frame, or what knows how to become one, as the former.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(frame, pa.Table):
        return frame
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "iloc") and hasattr(frame, "columns"):
        return table_of_pandas(frame)
    if hasattr(frame, "__arrow_c_stream__"):  # polars and others
        return pa.table(frame)
    raise InputError(
        f"data of type {type(frame).__name__} is not understood",
        hint="give a path, a pyarrow table or a pandas frame with the columns path and label",
    )


def _read_as(opened: TableFile, columns: NamedColumns, *, needed: Sequence[str]) -> dict[str, str]:
    """Our name or its own for every column that is read."""
    source = str(opened.file)
    if "path" not in opened.names and "path" not in columns.names:
        embedding = one_embedding(opened.types, source)
        if embedding is not None:
            columns = NamedColumns(columns.data, {**columns.names, "path": embedding})
    read_as = columns.read_as(opened.names, source)
    _refuse_missing(needed, list(read_as.values()), source)
    meant = [name for name, ours in read_as.items() if ours in FIXED and name in opened.repeated]
    if meant:
        raise InputError(
            f"{source}: the column {meant[0]!r} stands there several times",
            hint="give one of them another name: which one is meant cannot be known",
        )
    return read_as


def _ours(piece: pa.Table, read_as: Mapping[str, str], opened: TableFile) -> pa.Table:
    """The columns under our names; images that stand in the table become files."""
    found = {}
    for name in piece.column_names:
        ours, column = read_as[name], piece[name]
        if ours == "path" and _embeds(column):
            column = written_images(column)
        elif ours == "label" and name in opened.class_names and pa.types.is_integer(column.type):
            column = _named_classes(column, opened.class_names[name])
        found[ours] = column
    return pa.table(found)


def _embeds(column: pa.ChunkedArray) -> bool:
    if not holds_images(column.type):
        return False
    if pa.types.is_struct(column.type):
        return True
    # Some programs keep texts as bytes; no image is one.
    first = next((value.as_py() for value in column if value.is_valid), b"")
    return b"\0" in first or not first[:64].isascii()


def _named_classes(numbers: pa.ChunkedArray, names: list[str]) -> pa.ChunkedArray:
    found = [names[n] if n is not None and 0 <= n < len(names) else None for n in numbers.to_pylist()]
    return pa.chunked_array([pa.array(found, pa.string())])


def _piece(table: pa.Table, source: str, base: Path, first: int) -> pa.Table:
    paths, labels, splits = (_texts(table, name, source) for name in ("path", "label", "split"))
    if None in paths:
        raise InputError(
            f"{source}: column 'path' is empty in row {first + paths.index(None) + 1}",
            hint="fill this cell or remove the row",
        )
    whole = rows(
        path=_absolute(paths, base), label=labels, split=_split_words(splits, source), frame=_frames(table, source)
    )  # fmt: skip
    return whole.drop_columns("group")


def _rows(table: pa.Table, source: str, *, base: Path, written: bool) -> pa.Table:
    values = {name: _texts(table, name, source) for name in ("path", "label", "split", "group")}
    _refuse_empty_cells(values, source)
    refuse_missing_files(values["path"], source, str(base))
    attributes = {
        name: attribute
        for name in table.column_names
        if name not in FIXED and (attribute := attribute_of(table[name], written=written)) is not None
    }
    return rows(
        path=_absolute(values["path"], base),
        label=values["label"],
        split=_split_words(values["split"], source),
        group=values["group"],
        frame=_frames(table, source),
        **attributes,
    )


def _absolute(paths: list[str], base: Path) -> list[str]:
    """Joined as `Path` joins them, which takes a while: only where that differs from putting the folder in front."""
    front = os.path.join(str(base), "")
    return [
        str(base / path)
        if "//" in path or "./" in path or path.startswith("/") or path.endswith(("/", "/."))
        else front + path
        for path in paths
    ]


def _split_words(words: list[str | None], source: str) -> list[str | None]:
    try:
        known = {word: split_word(word) for word in dict.fromkeys(words)}
    except InputError as error:
        raise InputError(f"{source}: {error.message}", hint=error.hint) from None
    return [known[word] for word in words]


def _frames(table: pa.Table, source: str) -> list[int] | None:
    if "frame" not in table.column_names:
        return None
    try:
        texts = texts_of(table["frame"], "frame", source)
        frames = pc.fill_null(pc.replace_substring_regex(texts, r"\.0$", "").cast(pa.int32()), 0).to_pylist()
    except pa.ArrowInvalid:
        frames = [-1]
    if min(frames, default=0) < 0:
        raise InputError(
            f"{source}: column 'frame' holds what is no number of a frame",
            hint="frames are counted 0, 1, 2, …; leave the column out for images of a single frame",
        )
    return frames


def _texts(table: pa.Table, name: str, source: str) -> list:
    if name not in table.column_names:
        return [None] * table.num_rows
    return texts_of(table[name], name, source).to_pylist()


# What other people call our columns: for the hint alone, nothing is guessed.
_OTHER_WORDS = {
    "path": ("file", "filename", "file_name", "filepath", "image", "image_path", "img", "image_id", "images", "name"),
    "label": ("class", "class_name", "target", "category", "diagnosis", "dx", "y", "labels", "species"),
}


def _refuse_missing(needed: Sequence[str], there: list[str], source: str) -> None:
    missing = [name for name in needed if name not in there]
    if not missing:
        return
    message = f"{source}: no column {' and no column '.join(map(repr, missing))}; it has {', '.join(there)}"
    if any(is_named_like_an_image(name) for name in there):
        raise InputError(
            message, hint="the first line names an image already: write the columns' names above it, e.g. path,label"
        )
    lower = {name.lower(): name for name in there}
    guesses = {
        name: next((lower[word] for word in _OTHER_WORDS.get(name, ()) if word in lower), "…") for name in missing
    }
    named = ",".join(f"{name}={next(iter(nearest_names(name, there)), guesses[name])}" for name in missing)
    raise InputError(message, hint=f"say which it is, e.g. --columns {named}")


def _refuse_empty_cells(values: dict[str, list], source: str) -> None:
    for name in ("path", "label"):
        empty = [index for index, value in enumerate(values[name]) if value is None]
        if empty:
            shown = ", ".join(str(index + 1) for index in empty[:5]) + (", …" if len(empty) > 5 else "")
            raise InputError(
                f"{source}: column {name!r} is empty in {len(empty)} rows (row {shown})",
                hint="fill these cells or remove the rows",
            )
