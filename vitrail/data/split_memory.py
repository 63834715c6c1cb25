"""The split of a run, kept in its folder: which images were on which side, so that a later run can keep them there, or
say how many it moved."""

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from vitrail.basics.checks import damaged
from vitrail.basics.errors import DamagedError, InputError
from vitrail.basics.files import atomic_file, regular_file

SPLIT_FILE = "splits.parquet"
_NAME, _CHECK = b"vitrail data", b"vitrail check"
_COLUMNS = ("id", "group", "split")


@dataclass(frozen=True)
class SplitMemory:
    """Sides of the images of an earlier run.

    Attributes:
        run: its folder.
        images: side by image id.
        groups: side by group.
    """

    run: Path
    images: dict[str, str]
    groups: dict[str, str]

    @classmethod
    def of(cls, run: Path) -> "SplitMemory":
        """Read what a run kept.

        Raises:
            DamagedError: the file is not what was written.
            InputError: there is no such run, or it keeps no split.
        """
        file = run / SPLIT_FILE
        if not file.is_file():
            what = "no run is there" if not run.is_dir() else f"the run keeps no {SPLIT_FILE}"
            raise InputError(
                f"{run}: {what}",
                hint="give the folder of a run that fit has finished; runs of older versions keep no split: mark the "
                "images train and val in the column split of a table instead",
            )
        hint = "fit that run again, or leave --splits-of out: all images are then drawn anew"
        try:
            with regular_file(file) as content:
                table = pyarrow.parquet.read_table(content, columns=list(_COLUMNS))
            notes, columns = table.schema.metadata or {}, [table[name].to_pylist() for name in _COLUMNS]
        except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
            raise DamagedError(f"{file}: damaged: {error}", hint=hint) from error
        if _CHECK in notes and notes[_CHECK] != _check_of(notes.get(_NAME, b""), columns):
            raise damaged(file, hint=hint)
        found = cls(run, {}, {})
        for identity, group, split in zip(*columns, strict=True):
            found.images[identity] = split
            if group is not None:
                found.groups[group] = split
        return found

    def sides_of(self, rows: pa.Table, *, units: Sequence[str]) -> dict[str, str]:
        """The side of every unit that was there: by its images, else by its group.

        A unit whose images were on several sides, because groups were joined since, goes where most of them were.
        """
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        asked = zip(units, rows["id"].to_pylist(), rows["group"].to_pylist(), strict=True)
        for unit, identity, group in asked:
            side = self.images.get(identity) or (self.groups.get(group) if group is not None else None)
            if side is not None:
                votes[unit][side] += 1
        return {unit: min(found, key=lambda side: (-found[side], side)) for unit, found in votes.items()}

    def moved(self, rows: pa.Table) -> Counter[tuple[str, str]]:
        """How many images changed sides, by side before and now."""
        now = zip(rows["id"].to_pylist(), rows["split"].to_pylist(), strict=True)
        pairs = ((self.images[identity], split) for identity, split in now if identity in self.images)
        return Counter(pair for pair in pairs if pair[0] != pair[1])


def write_split(run: Path, rows: pa.Table, *, data: str) -> None:
    """Keep the split of `rows` in a run's folder.

    Args:
        data: the data set's name, by which a later run of the same data finds this one.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    kept = rows.select(_COLUMNS)
    check = _check_of(data.encode(), [kept[name].to_pylist() for name in _COLUMNS])
    kept = kept.replace_schema_metadata({_NAME: data.encode(), _CHECK: check})
    with atomic_file(run / SPLIT_FILE) as file:
        pyarrow.parquet.write_table(kept, file)


def _check_of(name: bytes, columns: list[list]) -> bytes:
    """Checksum of all that is kept; in the file's notes, so that it stays one that every reader of Parquet opens."""
    return f"{zlib.crc32(name + json.dumps(columns).encode()):08x}".encode()


def latest_run_of(data: str, *, beside: Path) -> Path | None:
    """The folder of the last run of a data set of this name: `beside` itself, or a folder beside it."""
    if _name_in(beside) == data:
        return beside
    found = [(file.stat().st_mtime_ns, file.parent) for file in _files_beside(beside) if _name_in(file.parent) == data]
    return max(found)[1] if found else None


def _files_beside(run: Path) -> Iterator[Path]:
    return run.parent.glob(f"*/{SPLIT_FILE}") if run.parent.is_dir() else iter(())


def _name_in(run: Path) -> str | None:
    try:
        with regular_file(run / SPLIT_FILE) as content:
            notes = pyarrow.parquet.read_schema(content).metadata or {}
        return notes[_NAME].decode() if _NAME in notes else None
    except (pa.ArrowException, OSError, ValueError, MemoryError):
        return None
