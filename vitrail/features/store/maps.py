"""Arrays too large for a table's cell, as safetensors: written from files and read in place, never held in memory."""

import contextlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int

from vitrail.basics.files import atomic_file

_CODES = {"float32": "F32", "float16": "F16"}


def write_maps(path: Path, maps: Mapping[str, tuple[Path, tuple[int, ...], str]]) -> None:
    """Write a safetensors file.

    Args:
        path: written atomically.
        maps: by name: a file that begins with the numbers, their shape, and `float32` or `float16`.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    with _begun(path, {name: (shape, kept) for name, (_, shape, kept) in maps.items()}) as written:
        for source, _, _ in maps.values():
            with open(source, "rb") as numbers:
                shutil.copyfileobj(numbers, written, 1 << 20)


def keep_in_maps(path: Path, kept: Int[np.ndarray, "K"]) -> None:
    """Drop all rows of a file that `write_maps` wrote but those of these numbers; nothing where they are gone already.

    Raises:
        SystemFault: the disk is full or may not be written; the file is as it was.
    """
    maps = read_maps(path)
    if all(len(array) == len(kept) for array in maps.values()):
        return
    shapes = {name: ((len(kept), *array.shape[1:]), array.dtype.name) for name, array in maps.items()}
    with _begun(path, shapes) as written:
        for array in maps.values():
            for row in kept:
                written.write(np.ascontiguousarray(array[row]).data)


def read_maps(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `write_maps` wrote, read-only; nothing is read from disk until it is looked at."""
    with open(path, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    kinds = {code: kept for kept, code in _CODES.items()}
    return {
        name: np.memmap(
            path, kinds[each["dtype"]], "r", offset=8 + length + each["data_offsets"][0], shape=tuple(each["shape"])
        )
        for name, each in header.items()
    }


@contextlib.contextmanager
def _begun(path: Path, arrays: Mapping[str, tuple[tuple[int, ...], str]]) -> Iterator[BinaryIO]:
    """A safetensors file of which the numbers are still to be written, array after array.

    Source: the format, https://huggingface.co/docs/safetensors: eight bytes with the length of a JSON header, the
    header, then the numbers. safetensors' own writer wants all of them in memory.
    """
    header, end = {}, 0
    for name, (shape, kept) in arrays.items():
        start, end = end, end + math.prod(shape) * np.dtype(kept).itemsize
        header[name] = {"dtype": _CODES[kept], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_file(path) as written:
        written.write(len(text).to_bytes(8, "little") + text)
        yield written
