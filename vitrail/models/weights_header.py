"""The header of a safetensors file: which tensors it holds, asked before any of them is read."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.strict_json import MOST_BYTES, strict_json

_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4,
    "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
_TORCH = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "float16": "F16",
    "bfloat16": "BF16", "float32": "F32", "float64": "F64",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What a tensor is, without its values."""

    dtype: str
    """As safetensors writes it, e.g. `F32`."""
    shape: tuple[int, ...]


def header_of(path: Path) -> dict[str, Shape]:
    """The tensors of a safetensors file, whose length has been compared with what they need.

    Raises:
        ValueError: no header, one that is too long or makes no sense, or a file longer or shorter than it says.
    """
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= MOST_BYTES:
            raise ValueError(f"its header is said to have {length:,} bytes")
        written = strict_json(file.read(length))
    if not isinstance(written, dict):
        raise ValueError("its header is no list of tensors")
    found = {name: _shape(name, entry) for name, entry in written.items() if name != "__metadata__"}
    ends = [entry["data_offsets"][1] for name, entry in written.items() if name != "__metadata__"]
    expected, actual = 8 + length + max(ends, default=0), path.stat().st_size
    if actual != expected:
        raise ValueError(f"it has {actual:,} bytes where its header tells of {expected:,}")
    return found


def fault_of_length(path: Path) -> str | None:
    """Why a file is not as long as its header says, in words; None when it is."""
    try:
        header_of(path)
    except ValueError as error:
        return f"is damaged: {error}"
    return None


def shapes_of(state: Mapping[str, Any]) -> dict[str, Shape]:
    """The same of a model's state; its tensors need hold no values."""
    return {
        name: Shape(_TORCH.get(str(tensor.dtype).removeprefix("torch."), str(tensor.dtype)), tuple(tensor.shape))
        for name, tensor in state.items()
    }


def difference(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> str | None:
    """The first thing in which a file's tensors are not the model's, in words; None when there is none."""
    for name in [*expected, *found]:
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} has no place in the network"
        mine, theirs = expected[name], found[name]
        if mine != theirs:
            return f"{name} is {theirs.dtype} {list(theirs.shape)}, {mine.dtype} {list(mine.shape)} was expected"
    return None


def _shape(name: str, entry: Any) -> Shape:
    try:
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        fine = len(shape) <= 16 and all(type(each) is int and 0 <= each < 2**48 for each in (*shape, begin, end))
        fine = fine and end - begin == _BYTES[entry["dtype"]] * math.prod(shape)
    except (KeyError, TypeError, ValueError, OverflowError):
        fine = False
    if not fine:
        raise ValueError(f"its header makes no sense at {name!r}")
    return Shape(entry["dtype"], shape)
