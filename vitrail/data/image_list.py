"""The images of a data set as a file that is read in place: a million of them cost no more memory than ten."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from vitrail.basics.errors import InputError
from vitrail.basics.files import atomic_file, sha256_of
from vitrail.data.columns import Place, places_of, rows
from vitrail.data.folders import images_in_folders
from vitrail.data.frames import with_what_headers_say
from vitrail.data.image_table import ImageTable, located, what_was_there
from vitrail.data.named_columns import NamedColumns
from vitrail.data.passed_over import PassedOver
from vitrail.data.table_shards import batches_from_shards, shards_in
from vitrail.data.tables import batches_from_file, batches_from_frame
from vitrail.data.written_names import writable_name

SCHEMA = pa.schema(
    {"path": pa.string(), "frame": pa.int32(), "label": pa.string(), "split": pa.string()}
)  # fmt: skip
"""What is kept of an image table; label and split may be null."""

_PIECE = 4096


class ImageList:
    """A memory-mapped image table of the columns `SCHEMA`, in an Arrow file.

    Attributes:
        digest: SHA-256 of the file; the same for the same images in the same order with the same labels and splits.
        labelled: how many images have a label.
    """

    def __init__(self, file: Path) -> None:
        self._pieces = pa.ipc.open_file(pa.memory_map(str(file)))
        batches = [self._pieces.get_batch(index) for index in range(self._pieces.num_record_batches)]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
        self.labelled = len(self) - sum(batch["label"].null_count for batch in batches)
        self.digest = sha256_of(file)

    @classmethod
    def write(cls, data: Any, file: Path) -> "ImageList":
        """List the images of a data set in `file`, piece by piece, and open it.

        Args:
            data: as for `read_image_table`; labels are optional here, and images may lie in a folder without classes.
            file: replaced if it is there.

        Raises:
            InputError: there is no such data, it holds no images, or it is not as expected.
            SystemFault: the disk is full or may not be written.
        """
        ignored = PassedOver()
        with atomic_file(file) as opened, pa.ipc.new_file(opened, SCHEMA) as writer:
            for piece in _pieces(data, ignored):
                writer.write_table(piece.select(SCHEMA.names).cast(SCHEMA), max_chunksize=_PIECE)
        listed = cls(file)
        if not len(listed):
            file.unlink()
            place = NamedColumns.of(data).data
            shown = place if isinstance(place, str | Path) else "the table"
            raise InputError(
                f"{shown}: no images found{what_was_there(ignored)}",
                hint="expected a folder with images, or a table with a column path",
            )
        return listed

    def __len__(self) -> int:
        return int(self._starts[-1])

    def places(self, start: int = 0) -> Iterator[Place]:
        """Path and frame of every image from number `start` on, one by one."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for index in range(first, self._pieces.num_record_batches):
            skipped = max(0, start - int(self._starts[index]))
            yield from places_of(pa.Table.from_batches([self._pieces.get_batch(index).slice(skipped)]))

    def rows(self, numbers: Int[np.ndarray, "R"]) -> pa.Table:
        """The rows of some images, by their numbers in ascending order; only these are copied into memory."""
        pieces = np.searchsorted(self._starts, numbers, side="right") - 1
        found = [
            self._pieces.get_batch(int(piece)).take(pa.array(numbers[pieces == piece] - self._starts[piece]))
            for piece in np.unique(pieces)
        ]
        return pa.Table.from_batches(found, SCHEMA)


def _pieces(data: Any, ignored: PassedOver) -> Iterator[pa.Table]:
    if isinstance(data, ImageTable):
        return iter([data.rows])
    named = NamedColumns.of(data)
    if not isinstance(named.data, str | Path):
        return batches_from_frame(named)
    place = located(named)
    if place.is_dir() and (shards := shards_in(place)):
        return batches_from_shards(shards, named)
    return _from_folder(place, ignored) if place.is_dir() else batches_from_file(place, named)


def _from_folder(folder: Path, ignored: PassedOver) -> Iterator[pa.Table]:
    found = images_in_folders(folder, ignored, labels_needed=False)
    while piece := list(itertools.islice(found, _PIECE)):
        paths, labels, splits = (list(column) for column in zip(*piece, strict=True))
        listed = rows(
            path=[writable_name(path) for path in paths],
            label=[label and writable_name(label) for label in labels],
            split=splits,
        )
        yield with_what_headers_say(listed, each_frame=True)
