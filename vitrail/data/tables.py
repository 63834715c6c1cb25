"""CSV, Parquet and tables in memory to rows."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from vitrail.basics.errors import InputError, did_you_mean, nearest_names
from vitrail.data.columns import FIXED, rows, split_word

_IN_PIECES = ("path", "frame", "label", "split")


@dataclass(frozen=True)
class NamedColumns:
    """A table in which some columns of ours have names of their own.

    Attributes:
        data: a CSV or Parquet file, a pyarrow table or a pandas frame.
        names: its name for any of `path`, `label`, `split`, `group` and `frame`.
    """

    data: Any
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any) -> "NamedColumns":
        """Data as it is given everywhere: a table with names of its own, or anything else, which has none."""
        return data if isinstance(data, cls) else cls(data)

    def ours(self, table: pa.Table, source: str) -> pa.Table:
        """The table with our names. A column that already has one of them, and is not the one meant, is left out.

        Raises:
            InputError: a column that was named is not there.
        """
        self.check(table.column_names, source)
        theirs = {name: ours for ours, name in self.names.items()}
        table = table.drop_columns([name for name in self.names if name in table.column_names and name not in theirs])
        return table.rename_columns([theirs.get(name, name) for name in table.column_names])

    def check(self, there: list[str], source: str) -> None:
        """Refuse names of columns that no image table has, or that are not in `there`."""
        for ours, theirs in self.names.items():
            if ours not in FIXED:
                raise InputError(
                    f"columns: an image table has no column {ours!r}, only {', '.join(FIXED)}",
                    hint=did_you_mean(ours, FIXED) or "all other columns are attributes and keep their names",
                )
            if theirs not in there:
                raise InputError(
                    f"{source}: no column {theirs!r} for {ours}; it has {', '.join(there)}",
                    hint=did_you_mean(theirs, there) or f"give its name for it, e.g. {ours}={there[0]}",
                )

    def of_pieces(self) -> "NamedColumns":
        """The same without columns that are not read in pieces."""
        return NamedColumns(self.data, {ours: theirs for ours, theirs in self.names.items() if ours in _IN_PIECES})

    def name(self, ours: str) -> str:
        """What the table calls one of our columns."""
        return self.names.get(ours, ours)


def rows_from_file(file: Path, columns: NamedColumns) -> pa.Table:
    """Rows of a `.csv`, `.tsv` or `.parquet` file; relative paths are relative to the file's folder.

    Raises:
        InputError: the file is of another kind, is no valid table, lacks a column, or names missing images.
    """
    with _explained(file):
        table = _read_csv(file, columns) if _is_csv(file) else pyarrow.parquet.read_table(file)
    return _rows(columns.ours(table, str(file)), str(file), base=file.absolute().parent)


def batches_from_file(file: Path, columns: NamedColumns) -> Iterator[pa.Table]:
    """`path`, `frame`, `label` and `split` of a table file's rows, in pieces: it is never in memory as a whole.

    The label may be missing, in some rows or in all; whether the images exist is left to those who read them.

    Raises:
        InputError: the file is of another kind, is no valid table, or has no column `path` or a row without one.
    """
    with _explained(file):
        first = 0
        for table in _csv_pieces(file, columns) if _is_csv(file) else _parquet_pieces(file, columns):
            yield _piece(columns.of_pieces().ours(table, str(file)), str(file), file.absolute().parent, first)
            first += table.num_rows


def batches_from_frame(columns: NamedColumns) -> Iterator[pa.Table]:
    """As `batches_from_file`, for a pyarrow table or a pandas frame."""
    yield _piece(columns.ours(_as_table(columns.data), "the table"), "the table", Path.cwd(), 0)


def rows_from_frame(columns: NamedColumns) -> pa.Table:
    """Rows of a pyarrow table or a pandas frame; relative paths are relative to the current folder.

    Raises:
        InputError: it is neither, lacks a column, or names missing images.
    """
    return _rows(columns.ours(_as_table(columns.data), "the table"), "the table", base=Path.cwd())


def _as_table(frame: Any) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if type(frame).__module__.partition(".")[0] != "pandas":
        raise InputError(
            f"data of type {type(frame).__name__} is not understood",
            hint="give a path, a pyarrow table or a pandas frame with the columns path and label",
        )
    return pa.Table.from_pandas(frame, preserve_index=False)


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as error:
        raise InputError(f"{file}: not a valid table: {error}", hint="open it and look at the named row") from error


def _is_csv(file: Path) -> bool:
    extension = file.suffix.lower()
    if extension not in (".csv", ".tsv", ".parquet", ".pq"):
        raise InputError(
            f"{file}: a file that is neither .csv, .tsv nor .parquet",
            hint="give a folder of class folders, or a table with the columns path and label",
        )
    return extension in (".csv", ".tsv")


def _delimiter(file: Path) -> str:
    """Tab, comma or, as spreadsheets write it in half of Europe, semicolon: whichever the first line has most of."""
    with open(file, encoding="utf-8", errors="replace") as lines:
        heading = lines.readline()
    return max("\t,;", key=heading.count) if any(mark in heading for mark in "\t,;") else ","


# Labels like 0 and 1, or 007, are names: the columns we own are read as text, attributes keep their type.
_TEXTS = ("path", "label", "split", "group")


def _as_text(columns: NamedColumns) -> dict[str, pa.DataType]:
    return {columns.name(name): pa.string() for name in _TEXTS}


def _read_csv(file: Path, columns: NamedColumns) -> pa.Table:
    text = pyarrow.csv.ConvertOptions(column_types=_as_text(columns), strings_can_be_null=True)
    parsing = pyarrow.csv.ParseOptions(delimiter=_delimiter(file))
    return pyarrow.csv.read_csv(file, convert_options=text, parse_options=parsing)


def _csv_pieces(file: Path, columns: NamedColumns) -> Iterator[pa.Table]:
    parsing = pyarrow.csv.ParseOptions(delimiter=_delimiter(file))
    with pyarrow.csv.open_csv(file, parse_options=parsing) as opened:
        names = _wanted(opened.schema.names, columns, str(file))
    text = pyarrow.csv.ConvertOptions(column_types=_as_text(columns), strings_can_be_null=True, include_columns=names)
    with pyarrow.csv.open_csv(file, convert_options=text, parse_options=parsing) as opened:
        for batch in opened:
            yield pa.Table.from_batches([batch])


def _parquet_pieces(file: Path, columns: NamedColumns) -> Iterator[pa.Table]:
    with pyarrow.parquet.ParquetFile(file) as opened:
        names = _wanted(opened.schema_arrow.names, columns, str(file))
        for batch in opened.iter_batches(batch_size=4096, columns=names):
            yield pa.Table.from_batches([batch])


def _wanted(names: list[str], columns: NamedColumns, source: str) -> list[str]:
    """Names in the table of the columns that are read in pieces."""
    columns.check(names, source)
    _refuse_missing(["path"], [*names, *columns.names], source)
    theirs = [columns.name(ours) for ours in _IN_PIECES]
    return [name for name in theirs if name in names]


def _piece(table: pa.Table, source: str, base: Path, first: int) -> pa.Table:
    _refuse_missing(["path"], table.column_names, source)
    paths, labels, splits = (_text(table, name) for name in ("path", "label", "split"))
    if None in paths:
        raise InputError(
            f"{source}: column 'path' is empty in row {first + paths.index(None) + 1}",
            hint="fill this cell or remove the row",
        )
    whole = rows(
        path=[str(base / path) for path in paths],
        label=labels,
        split=[split_word(word) for word in splits],
        frame=_frames(table, source),
    )
    return whole.drop_columns("group")


def _rows(table: pa.Table, source: str, *, base: Path) -> pa.Table:
    _refuse_missing(["path", "label"], table.column_names, source)
    values = {name: _text(table, name) for name in ("path", "label", "split", "group")}
    _refuse_empty_cells(values, source)
    paths = [str(base / path) for path in values["path"]]
    _refuse_missing_files(paths, source)
    attributes = {name: table[name] for name in table.column_names if name not in FIXED}
    return rows(
        path=paths,
        label=values["label"],
        split=[split_word(word) for word in values["split"]],
        group=values["group"],
        frame=_frames(table, source),
        **attributes,
    )


def _frames(table: pa.Table, source: str) -> list[int] | None:
    if "frame" not in table.column_names:
        return None
    try:
        frames = table["frame"].cast(pa.int32()).fill_null(0).to_pylist()
    except pa.ArrowInvalid:
        frames = [-1]
    if min(frames, default=0) < 0:
        raise InputError(
            f"{source}: column 'frame' holds what is no number of a frame",
            hint="frames are counted 0, 1, 2, …; leave the column out for images of a single frame",
        )
    return frames


def _text(table: pa.Table, name: str) -> list:
    if name not in table.column_names:
        return [None] * table.num_rows
    values = table[name].to_pylist()
    # pandas writes what is missing as an empty text, or as a float that is not a number.
    return [None if value is None or value != value or not str(value).strip() else str(value) for value in values]


def _refuse_missing(needed: list[str], there: list[str], source: str) -> None:
    missing = [name for name in needed if name not in there]
    if missing:
        named = ",".join(f"{name}={next(iter(nearest_names(name, there)), '…')}" for name in missing)
        raise InputError(
            f"{source}: no column {' and no column '.join(map(repr, missing))}; it has {', '.join(there)}",
            hint=f"say which it is, e.g. --columns {named}",
        )


def _refuse_empty_cells(values: dict[str, list], source: str) -> None:
    for name in ("path", "label"):
        empty = [index for index, value in enumerate(values[name]) if value is None]
        if empty:
            shown = ", ".join(str(index + 1) for index in empty[:5]) + (", …" if len(empty) > 5 else "")
            raise InputError(
                f"{source}: column {name!r} is empty in {len(empty)} rows (row {shown})",
                hint="fill these cells or remove the rows",
            )


def _refuse_missing_files(paths: list[str], source: str) -> None:
    absent = [path for path in paths if not Path(path).exists()]
    if absent:
        shown = "\n".join(f"  - {path}" for path in absent[:10])
        more = f"\n  (+{len(absent) - 10} more)" if len(absent) > 10 else ""
        raise InputError(
            f"{source}: {len(absent)} of {len(paths)} images do not exist:\n{shown}{more}",
            hint="paths are relative to the table's own folder; check for a moved folder or a typing error",
        )
