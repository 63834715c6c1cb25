"""Arrays too large for a table's cell, as safetensors: written from files and read in place, never held in memory."""

import contextlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int

from vitrail.basics.checks import damaged
from vitrail.basics.errors import InputError
from vitrail.basics.files import atomic_file
from vitrail.features.store.block_checks import HINT, CheckedFile, forget_older_checks, write_checks

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


def write_empty_maps(path: Path, arrays: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Write a file of arrays without rows, given by shape and type.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    with _begun(path, arrays):
        pass


def keep_in_maps(path: Path, kept: Int[np.ndarray, "K"]) -> None:
    """Drop all rows of a file that `write_maps` wrote but those of these numbers; nothing where they are gone already.

    Raises:
        SystemFault: the disk is full or may not be written; the file is as it was.
    """
    maps = read_maps(path)
    if all(len(array) == len(kept) for array in maps.values()):
        return
    verify_rows(path, maps, 0, len(next(iter(maps.values()))))
    shapes = {name: ((len(kept), *array.shape[1:]), array.dtype.name) for name, array in maps.items()}
    with _begun(path, shapes) as written:
        for array in maps.values():
            for row in kept:
                written.write(np.ascontiguousarray(array[row]).data)


def read_maps(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `write_maps` wrote, read-only; nothing is read from disk until it is looked at."""
    try:
        with CheckedFile(path) as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length))
        return {name: _mapped(path, 8 + length, each) for name, each in header.items()}
    except (ValueError, KeyError, TypeError, OSError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, hint=HINT) from None


def verify_rows(path: Path, maps: Mapping[str, np.ndarray], first: int, end: int) -> None:
    """Raise unless these rows of all arrays are what was written.

    Raises:
        DamagedError: they are not.
    """
    with CheckedFile(path) as opened:
        for array in maps.values():
            if isinstance(array, np.memmap) and len(array):
                row = array.nbytes // len(array)
                opened.verify(array.offset + first * row, array.offset + end * row)


def _mapped(path: Path, start: int, each: Mapping[str, Any]) -> np.ndarray:
    kept = {code: kept for kept, code in _CODES.items()}[each["dtype"]]
    shape = tuple(each["shape"])
    if 0 in shape:  # which cannot be mapped
        return np.empty(shape, kept)
    return np.memmap(path, kept, "r", offset=start + each["data_offsets"][0], shape=shape)


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
        written.flush()
        write_checks(path, Path(written.name))
    forget_older_checks(path)
