"""What headers say about the images of a data set: how many a file holds, and columns of the table."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from vitrail.basics.files import regular_file, sha256_of
from vitrail.data.columns import Place
from vitrail.data.opened_pictures import header_of
from vitrail.data.readers.known import other_reader_of, other_readers
from vitrail.data.readers.reader import Header
from vitrail.data.workers import map_in_workers

_FEW = 64
"""Files whose headers are read here: worker processes would take longer to begin."""

_OURS = ("path", "frame", "label", "split")


def places_in(path: str) -> list[Place]:
    """The images of a file: one, or one for each frame where its reader says that frames are images of their own."""
    header = _header(path)
    return [(path, frame) for frame in range(header.frames if header and header.frames_are_images else 1)]


def with_what_headers_say(rows: pa.Table, *, each_frame: bool, workers: int = 0) -> pa.Table:
    """An image table with what its files' headers say; the same where only photographs are known.

    Columns are added; what the table says itself stays, but for empty cells of `group`. Frames of one file are of one
    group where nothing else is said: they resemble each other, and must not be trained on and judged by.

    Args:
        rows: an image table.
        each_frame: whether a row stands for a file, and becomes a row for each image in it.
        workers: processes that read headers.
    """
    if not other_readers():
        return rows
    paths = rows["path"].to_pylist()
    different = list(dict.fromkeys(paths))
    read = map_in_workers(_told, different, workers=workers if len(different) > _FEW else 0)
    by_path = dict(zip(different, read, strict=True))
    headers = [by_path[path] for path in paths]
    rows = _with_columns(rows, headers)
    return _with_frames(rows, headers) if each_frame else rows


@dataclass(frozen=True)
class _Told:
    """Columns and frames of a file, and a name of the file as a group, where it has several."""

    columns: Mapping[str, str | int | float | None] = field(default_factory=dict)
    frames: int = 1
    group: str | None = None


def _told(path: str) -> _Told:
    header = _header(path)
    if header is None:
        return _Told()
    if not header.frames_are_images or header.frames == 1:
        return _Told(dict(header.columns))
    with contextlib.suppress(OSError):
        return _Told(dict(header.columns), header.frames, f"file {sha256_of(Path(path))[:32]}")
    return _Told()


def _with_frames(rows: pa.Table, told: list[_Told]) -> pa.Table:
    if all(each.frames == 1 for each in told):
        return rows
    groups = [mine or each.group for mine, each in zip(rows["group"].to_pylist(), told, strict=True)]
    rows = rows.set_column(rows.column_names.index("group"), "group", pa.array(groups, pa.string()))
    numbers = [number for number, each in enumerate(told) for _ in range(each.frames)]
    frames = pa.array([frame for each in told for frame in range(each.frames)], pa.int32())
    taken = rows.take(pa.array(numbers, pa.int64()))
    return taken.set_column(taken.column_names.index("frame"), "frame", frames)


def _with_columns(rows: pa.Table, told: list[_Told]) -> pa.Table:
    names = dict.fromkeys(name for each in told for name in each.columns if str(name) not in _OURS)
    for name in names:
        found = [each.columns.get(name) for each in told]
        if name == "group":
            mine = rows["group"].to_pylist()
            filled = [one if one is not None or other is None else str(other)
                      for one, other in zip(mine, found, strict=True)]  # fmt: skip
            rows = rows.set_column(rows.column_names.index(name), name, pa.array(filled, pa.string()))
        elif name not in rows.column_names:
            rows = rows.append_column(str(name), _column(found))
    return rows


def _column(values: list[str | int | float | None]) -> pa.Array:
    """Numbers where all are; else text."""
    if all(value is None or isinstance(value, int | float) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _header(path: str) -> Header | None:
    """None for photographs, and for a file whose header cannot be read: the check says why."""
    if other_reader_of(path) is None:
        return None
    with contextlib.suppress(OSError, ValueError), regular_file(path) as file:
        return header_of(file, name=path)
    return None
