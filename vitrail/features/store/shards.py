"""One shard: so many rows as a Parquet file, and their large arrays in a safetensors file beside it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vitrail.basics.files import atomic_file, flush_folder
from vitrail.data.image_list import ImageList
from vitrail.features.store.manifest import ROW_COLUMNS, SHARDS, Output
from vitrail.features.store.maps import write_maps
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
    schema = shard_schema(outputs)
    plain = {name: "none" if name.endswith(".list.element") else "zstd" for name in _leaves(schema)}
    with (
        atomic_file(shard_file(folder, number)) as file,
        pq.ParquetWriter(file, schema, compression=plain, use_dictionary=["label", "split"]) as writer,
    ):
        step = _rows_per_group(outputs)
        for first in range(0, rows, step):
            part = slice(first, min(first + step, rows))
            group = images.rows(np.asarray(positions[part])).add_column(
                0, "id", pa.array(staging.ids(first, part.stop))
            )
            for name, array in vectors.items():
                numbers = pa.array(np.asarray(array[part]).reshape(-1))
                group = group.append_column(name, pa.FixedSizeListArray.from_arrays(numbers, array.shape[1]))
            writer.write_table(group.cast(schema))
    flush_folder(folder / SHARDS)


def _rows_per_group(outputs: Sequence[Output]) -> int:
    row_bytes = sum(each.row_bytes for each in outputs if each.is_vector)
    return max(64, min(GROUP_ROWS, GROUP_BYTES // max(row_bytes, 1)))


def _leaves(schema: pa.Schema) -> list[str]:
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
            else field.name for field in schema]  # fmt: skip
