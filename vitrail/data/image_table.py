"""The image table: one row per image, from whatever a person has.

Columns: `path` (absolute), `frame`, `label`, `split` (`train`, `val`, `test` or null), `group` (patient or the
like, or null), then any attributes. The inspection adds `id`, the content hash by which everything later joins.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.basics.files import irregular_kind
from vitrail.data.digits import digits_folder
from vitrail.data.folder_layout import instead_of_images
from vitrail.data.folders import rows_from_folder
from vitrail.data.frames import with_what_headers_say
from vitrail.data.named_columns import NamedColumns
from vitrail.data.table_shards import rows_from_shards, shards_in
from vitrail.data.tables import rows_from_file, rows_from_frame
from vitrail.data.written_names import writable_name

BUILT_IN = {"digits": digits_folder}
_LONGEST_SHOWN = 300


@dataclass(frozen=True)
class ImageTable:
    """What `read_image_table` found.

    Attributes:
        rows: the table described above.
        name: a short name for runs and reports (the folder's or file's name).
        ignored: files that were passed over because they are no images, counted by extension.
        passed_over: the same files by class, then by kind; see `passed_over.PassedOver`.
        empty_classes: class folders that hold no image.
        is_of_folders: whether the images were found in folders, not named in a table.
    """

    rows: pa.Table
    name: str
    ignored: dict[str, int] = field(default_factory=dict)
    passed_over: dict[str, dict[str, int]] = field(default_factory=dict)
    empty_classes: tuple[str, ...] = ()
    is_of_folders: bool = False

    @property
    def classes(self) -> list[str]:
        """The class names, sorted: the order of a model's outputs."""
        return sorted(set(self.rows["label"].to_pylist()))

    def __len__(self) -> int:
        return self.rows.num_rows


def read_image_table(data: Any, *, workers: int = 0) -> ImageTable:
    """Read the image table from a folder, a CSV or Parquet file, a table in memory, or a built-in name.

    Args:
        data: path of a class-per-folder tree, of a folder with `train`/`val`/`test` folders of that kind, of a
            `.csv`, `.tsv` or `.parquet` file or a folder of the parts of one (columns `path`, `label`, optional
            `split`, `group`, attributes; paths relative to the file); a pyarrow table or a pandas frame with the same
            columns; such a table with `NamedColumns`; or `"digits"`.
        workers: processes that read headers, where files are of a kind whose headers say something (see `readers`).

    Raises:
        InputError: the data is none of these, is empty, or lacks a column; files that do not exist are listed.
    """
    if isinstance(data, ImageTable):
        return data
    named = NamedColumns.of(data)
    data = named.data
    table = _from_place(named) if isinstance(data, str | Path) else ImageTable(rows_from_frame(named), "table")
    if not len(table):
        place = Path(data).expanduser() if isinstance(data, str | Path) else None
        if place is None or not place.is_dir():
            raise InputError(
                f"{place or 'the table'}: no images found, it has no rows",
                hint="expected a row for every image: its path and its label",
            )
        raise InputError(
            f"{data}: no images found{what_was_there(Counter(table.ignored))}",
            hint=instead_of_images(place)
            or "expected one folder per class with images inside, e.g. DATA/cats/1.jpg and DATA/dogs/1.jpg",
        )
    rows = with_what_headers_say(table.rows, each_frame=table.is_of_folders, workers=workers)
    return replace(table, rows=rows)


def _from_place(named: NamedColumns) -> ImageTable:
    data, path = named.data, located(named)
    if path.is_dir() and (shards := shards_in(path)):
        return ImageTable(rows_from_shards(shards, named), writable_name(path.resolve().name) or "images")
    if path.is_dir():
        return _from_folder(
            path, str(data) if str(data) in BUILT_IN else writable_name(path.resolve().name) or "images"
        )
    return ImageTable(rows_from_file(path, named), writable_name(path.stem))


def located(named: NamedColumns) -> Path:
    """The folder or file that the data names; a built-in data set is written where it is not there yet.

    Raises:
        InputError: there is no such thing, or columns are named of what has none.
    """
    data = named.data
    if not str(data).strip():
        raise InputError("the data is an empty name", hint="give a folder or a table; the current folder is called .")
    try:
        path = Path(data).expanduser()
        kind = irregular_kind(path)
    except (OSError, RuntimeError, ValueError) as error:  # without permission, too long, of a user who is not there
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{_short(data)}: cannot be opened: {reason}", hint="check the path and its spelling"
        ) from None
    if kind is not None:
        raise InputError(f"{data}: is {kind}, not a file", hint="write what comes out of it to a .csv, and give that")
    if str(data) in BUILT_IN and not path.exists():
        path = BUILT_IN[str(data)]()
    if named.names and path.is_dir() and not shards_in(path):
        raise InputError(
            f"{data} is a folder: it has no columns to name", hint="leave out --columns, or give a CSV or Parquet file"
        )
    if path.is_dir() or path.is_file():
        return path
    raise InputError(
        f"{data}: there is no such folder or file",
        hint=f"give a folder of class folders, a CSV or Parquet file, or a built-in name: {', '.join(BUILT_IN)}",
    )


def _short(data: str | Path) -> str:
    return str(data) if len(str(data)) <= _LONGEST_SHOWN else f"{str(data)[:_LONGEST_SHOWN]}…"


def _from_folder(folder: Path, name: str) -> ImageTable:
    found = rows_from_folder(folder)
    by_class = {label: dict(counts) for label, counts in found.ignored.by_class.items()}
    return ImageTable(found.rows, name, dict(found.ignored), by_class, found.empty_classes, True)


def what_was_there(ignored: Counter[str]) -> str:
    """Words for what stands where images were expected; empty when nothing does."""
    if not ignored:
        return ""
    seen = ", ".join(f"{count} × {extension}" for extension, count in ignored.most_common(5))
    return f", only other files ({seen})"
