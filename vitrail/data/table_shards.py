"""A table in several Parquet files, as data sets of Hugging Face are kept: `train-00000-of-00002.parquet` and so on."""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.data.columns import SPLIT_NAMES
from vitrail.data.named_columns import NamedColumns
from vitrail.data.tables import batches_from_file, rows_from_file

_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet")


def shards_in(folder: Path) -> dict[Path, str | None]:
    """The parts of one table in a folder, or in `data` below it, each with the split that its name says.

    Empty where there are none, or something else beside them.

    Raises:
        InputError: a part is missing.
    """
    below = folder / "data"
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if [entry.name for entry in entries if entry.is_dir()] == ["data"]:
        entries = [entry for entry in below.iterdir() if not entry.name.startswith(".")]
    tables = sorted(entry for entry in entries if entry.suffix in (".parquet", ".csv", ".tsv", ".pq"))
    names = {file: match for file in tables if (match := _SHARD.fullmatch(file.name))}
    if not names or len(names) < len(tables) or any(entry.is_dir() for entry in entries):
        return {}
    for file, match in names.items():
        missing = int(match[3]) - sum(other[1] == match[1] for other in names.values())
        if missing > 0:
            raise InputError(
                f"{file.parent}: of the {int(match[3])} parts of {match[1]}, {missing} are not there",
                hint="fetch the missing files, or give one part alone to work with what it holds",
            )
    return {file: SPLIT_NAMES.get(match[1].lower()) for file, match in names.items()}


def rows_from_shards(shards: dict[Path, str | None], columns: NamedColumns) -> pa.Table:
    """Rows of all parts, as `rows_from_file` has them; the split is that of the name where there is no column for it.

    Raises:
        InputError: as `rows_from_file`, or the parts do not fit together.
    """
    tables = [_with_split(rows_from_file(file, columns), split) for file, split in shards.items()]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(
            f"{next(iter(shards)).parent}: its parts do not fit together: {error}", hint="give one of them alone"
        ) from error


def batches_from_shards(shards: dict[Path, str | None], columns: NamedColumns) -> Iterator[pa.Table]:
    """As `rows_from_shards`, in pieces, as `batches_from_file` has them."""
    for file, split in shards.items():
        yield from (_with_split(piece, split) for piece in batches_from_file(file, columns))


def _with_split(rows: pa.Table, split: str | None) -> pa.Table:
    if split is None or rows["split"].null_count < rows.num_rows:
        return rows
    column = pa.array([split] * rows.num_rows, pa.string())
    return rows.set_column(rows.column_names.index("split"), "split", column)
