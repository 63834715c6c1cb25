"""One shard: so many rows as a Parquet file, and their large arrays in a safetensors file beside it."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from vitrail.basics.checks import damaged
from vitrail.basics.files import atomic_file, flush_folder
from vitrail.data.image_list import ImageList
from vitrail.features.store.block_checks import HINT, SUFFIX, CheckedFile, forget_older_checks, is_sound, write_checks
from vitrail.features.store.manifest import ROW_COLUMNS, SHARDS, Output
from vitrail.features.store.maps import keep_in_maps, write_empty_maps, write_maps
from vitrail.features.store.staging import Staging

GROUP_BYTES, GROUP_ROWS = 2**20, 1024
"""At most so much is written, and read, at once: more would only cost memory."""

_TYPES = {"float32": pa.float32(), "float16": pa.float16()}


def shard_file(folder: Path, number: int) -> Path:
    """Where shard `number` of the store in `folder` is."""
    return folder / SHARDS / f"part-{number:05d}.parquet"


def maps_file(folder: Path, number: int) -> Path:
    """Where the large arrays of shard `number` are."""
    return shard_file(folder, number).with_suffix(".safetensors")


def shard_schema(outputs: Sequence[Output]) -> pa.Schema:
    """Columns of a shard."""
    types: dict[str, pa.DataType] = {**dict.fromkeys(ROW_COLUMNS, pa.string()), "frame": pa.int32()}
    vectors = {each.name: pa.list_(_TYPES[each.kept], each.shape[0]) for each in outputs if each.is_vector}
    return pa.schema({**types, **vectors})


def shards_there(folder: Path) -> int:
    """How many shards are in a store."""
    return len(list((folder / SHARDS).glob("part-*.parquet")))


def shard_sizes(folder: Path, count: int) -> tuple[int, ...]:
    """Rows of each of the first `count` shards."""
    sizes = []
    for number in range(count):
        with opened_table(shard_file(folder, number)) as file:
            sizes.append(file.metadata.num_rows)
    return tuple(sizes)


@contextlib.contextmanager
def opened_table(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file of a store, verified as it is read.

    Raises:
        DamagedError: it is not what was written.
    """
    try:
        with CheckedFile(path) as opened, pq.ParquetFile(opened) as file:
            yield file
    except (pa.ArrowException, OSError):
        raise damaged(path, hint=HINT) from None


def drop_shard(folder: Path, number: int, outputs: Sequence[Output]) -> None:
    """Put a shard without rows in the place of a damaged one, which is kept under another name.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    for file in (shard_file(folder, number), maps_file(folder, number)):
        if file.exists():
            os.replace(file, file.with_name(f"{file.name}.damaged"))
        file.with_name(file.name + SUFFIX).unlink(missing_ok=True)
    large = {each.name: ((0, *each.shape), each.kept) for each in outputs if not each.is_vector}
    if large:
        write_empty_maps(maps_file(folder, number), large)
    rewrite_shard(folder, number, outputs, [shard_schema(outputs).empty_table()])


def is_sound_shard(folder: Path, number: int) -> bool:
    """Whether a shard is what was written, all of it."""
    files = (shard_file(folder, number), maps_file(folder, number))
    return all(is_sound(file) for file in files if file.exists())


def shard_groups(folder: Path, number: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a shard, some at a time."""
    with opened_table(shard_file(folder, number)) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)


def write_shard(folder: Path, outputs: Sequence[Output], staging: Staging, images: ImageList) -> None:
    """Write the waiting rows as the shard that they belong to. The same rows give the same bytes.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    number, rows = staging.progress.shard, staging.progress.rows
    large = {
        each.name: (staging.output_file(index), (rows, *each.shape), each.kept)
        for index, each in enumerate(outputs)
        if not each.is_vector
    }
    if large:
        write_maps(maps_file(folder, number), large)
    positions, arrays = staging.rows()
    vectors = {each.name: array for each, array in zip(outputs, arrays, strict=True) if each.is_vector}
    with _shard_writer(folder, number, shard_schema(outputs)) as write:
        step = _rows_per_group(outputs)
        for first in range(0, rows, step):
            part = slice(first, min(first + step, rows))
            group = images.rows(np.asarray(positions[part])).add_column(
                0, "id", pa.array(staging.ids(first, part.stop))
            )
            for name, array in vectors.items():
                numbers = pa.array(np.asarray(array[part]).reshape(-1))
                group = group.append_column(name, pa.FixedSizeListArray.from_arrays(numbers, array.shape[1]))
            write(group)


def rewrite_shard(folder: Path, number: int, outputs: Sequence[Output], groups: Iterable[pa.Table]) -> None:
    """Put other rows in a shard's place. The same rows give the same bytes as `write_shard`'s.

    Raises:
        SystemFault: the disk is full or may not be written; the shard is as it was.
    """
    with _shard_writer(folder, number, shard_schema(outputs)) as write:
        for group in groups:
            write(group)


def keep_in_shard(folder: Path, number: int, outputs: Sequence[Output], kept: Int[np.ndarray, "K"]) -> None:
    """Drop all rows of a shard but those of these numbers, which ascend.

    A process that dies in between, and calls this again, comes to the same end.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    if maps_file(folder, number).exists():
        keep_in_maps(maps_file(folder, number), kept)
    rewrite_shard(folder, number, outputs, _taken(shard_groups(folder, number), kept))


def _taken(groups: Iterator[pa.Table], kept: Int[np.ndarray, "K"]) -> Iterator[pa.Table]:
    first = 0
    for group in groups:
        here = kept[(kept >= first) & (kept < first + group.num_rows)] - first
        first += group.num_rows
        yield group.take(pa.array(here))


@contextlib.contextmanager
def _shard_writer(folder: Path, number: int, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    plain = {name: "none" if name.endswith(".list.element") else "zstd" for name in _leaves(schema)}
    with (
        atomic_file(shard_file(folder, number)) as file,
        pq.ParquetWriter(file, schema, compression=plain, use_dictionary=["label", "split"]) as writer,
    ):
        yield lambda group: writer.write_table(group.cast(schema))
        writer.close()
        file.flush()
        write_checks(shard_file(folder, number), Path(file.name))
    forget_older_checks(shard_file(folder, number))
    flush_folder(folder / SHARDS)


def _rows_per_group(outputs: Sequence[Output]) -> int:
    row_bytes = sum(each.row_bytes for each in outputs if each.is_vector)
    return max(64, min(GROUP_ROWS, GROUP_BYTES // max(row_bytes, 1)))


def _leaves(schema: pa.Schema) -> list[str]:
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
            else field.name for field in schema]  # fmt: skip
