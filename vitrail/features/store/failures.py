"""The images that a store should hold and does not, with the reason: `failures.parquet`."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vitrail.basics.errors import DamagedError
from vitrail.basics.files import atomic_file
from vitrail.data.columns import Place
from vitrail.data.image_list import ImageList
from vitrail.features.store.block_checks import forget_older_checks, write_checks
from vitrail.features.store.manifest import FAILURES
from vitrail.features.store.shards import opened_table
from vitrail.features.store.staging import Failure

SCHEMA = pa.schema({"path": pa.string(), "frame": pa.int32(), "id": pa.string(), "reason": pa.string()})
_PIECE = 1024


def read_failures(folder: Path) -> pa.Table:
    """Path, frame, id (null where the file had no bytes to be read) and reason of every image that is missing."""
    file = folder / FAILURES
    if not file.exists():
        return SCHEMA.empty_table()
    with opened_table(file) as table:
        return table.read()


def write_failures(folder: Path, images: ImageList, seen: int, failures: Iterator[Failure]) -> int:
    """Replace what was known of the images of a pass by what it met; return how many failures there are now.

    Args:
        folder: the store's.
        images: what the pass went through.
        seen: how many of them it looked at.
        failures: in the order of the list.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    try:
        older = _of_others(read_failures(folder), itertools.islice(images.places(), seen))
    except DamagedError:  # images of this pass were met again, and the reasons of others can be had again
        older = SCHEMA.empty_table()
    count = older.num_rows
    with atomic_file(folder / FAILURES) as file, pq.ParquetWriter(file, SCHEMA) as writer:
        writer.write_table(older)
        while piece := list(itertools.islice(failures, _PIECE)):
            rows = images.rows(np.array([each.position for each in piece])).select(["path", "frame"])
            rows = rows.append_column("id", pa.array([each.id or None for each in piece], pa.string()))
            writer.write_table(rows.append_column("reason", pa.array([each.reason for each in piece])))
            count += len(piece)
        writer.close()
        file.flush()
        write_checks(folder / FAILURES, Path(file.name))
    forget_older_checks(folder / FAILURES)
    return count


def _of_others(failures: pa.Table, seen: Iterator[Place]) -> pa.Table:
    """The failures of images that were not looked at again."""
    rows = failures.to_pylist()
    left = {(row["path"], row["frame"]) for row in rows}
    for place in seen if left else ():
        left.discard(place)
    return pa.Table.from_pylist([row for row in rows if (row["path"], row["frame"]) in left], SCHEMA)
