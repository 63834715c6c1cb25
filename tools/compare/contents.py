"""What a file holds, as `{where: value}`, read without vitrail: numbers as arrays, words as they stand."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "BOOL": "?", "BF16": "<u2",
}  # fmt: skip


def contents_of(file: Path) -> dict[str, Any]:
    """What stands where in a file; bytes of an unknown kind, or not of the kind that the name says, are one hash."""
    content = file.read_bytes()
    try:
        return READERS.get(file.suffix, _digest)(content)
    except (ValueError, KeyError, TypeError, OSError):
        return _digest(content)


def flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """`("a.b[0]", 1)` for `{"a": {"b": [1]}}`; a list of numbers is one array."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from flat(inner, f"{at}.{name}" if at else str(name))
    elif isinstance(value, list) and len(value) > 1 and all(type(each) in (int, float) for each in value):
        yield at, np.asarray(value)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from flat(inner, f"{at}[{number}]")
    else:
        yield at, value


def _json(content: bytes) -> dict[str, Any]:
    return dict(flat(json.loads(content)))


def _lines_of_json(content: bytes) -> dict[str, Any]:
    """By decision (a journal), by stage and epoch (metrics), or by number.

    How many steps share a line of metrics is a matter of seconds: their losses are put together, per stage.
    """
    found: dict[str, Any] = {}
    losses: dict[str, list[float]] = {}
    order: list[str] = []
    for number, line in enumerate(map(json.loads, content.splitlines())):
        if line.get("kind") == "steps" and "losses" in line:
            losses.setdefault(line["stage"], []).extend(line["losses"])
            skipped = f"{line['stage']} skipped steps"
            found[skipped] = found.get(skipped, 0) + line.get("skipped", 0)
            continue
        name = line.get("decision") or (f"{line['stage']} epoch {line['epoch']}" if "epoch" in line else "line")
        order.append(name)
        found.update(flat(line, name if name not in order[:-1] else f"{name} ({number})"))
    joined = {f"{stage} losses": np.asarray(values) for stage, values in losses.items()}
    return {**found, **joined, "order": ", ".join(order)}


def _tensors(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    found: dict[str, Any] = dict(flat(header.pop("__metadata__", {}), "metadata"))
    for name, tensor in header.items():
        start, end = (8 + length + offset for offset in tensor["data_offsets"])
        values = np.frombuffer(content[start:end], dtype=DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        if tensor["dtype"] == "BF16":
            values = (values.astype("<u4") << 16).view("<f4")
        found[name], found[f"{name} dtype"] = values, tensor["dtype"]
    return found


def _parquet(content: bytes) -> dict[str, Any]:
    table = pyarrow.parquet.read_table(io.BytesIO(content))
    found: dict[str, Any] = {f"{field.name} type": str(field.type) for field in table.schema}
    for key, value in (table.schema.metadata or {}).items():
        found[f"metadata {key.decode()}"] = value.decode(errors="replace")
    for name in table.column_names:
        found.update(_column(name, table.column(name).to_pylist()))
    return found


def _csv(content: bytes) -> dict[str, Any]:
    head, *rows = csv.reader(io.StringIO(content.decode()))
    found: dict[str, Any] = {"columns": ",".join(head)}
    for name, values in zip(head, zip(*rows, strict=True), strict=False):
        found.update(_column(name, [_number(value) for value in values]))
    return found


def _column(name: str, values: list[Any]) -> dict[str, Any]:
    try:
        array = np.asarray(values)
    except ValueError:  # rows of unlike lengths
        array = np.asarray(None)
    if array.dtype.kind in "fiub" and array.ndim:
        return {name: array}
    return dict(flat({f"{name}[{row}]": value for row, value in enumerate(values)}))


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _numpy(content: bytes) -> dict[str, Any]:
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"array": loaded}


def _text(content: bytes) -> dict[str, Any]:
    return {f"line {number}": line for number, line in enumerate(content.decode().splitlines(), start=1)}


def _page(content: bytes) -> dict[str, Any]:
    return _text(re.sub(rb"</dt>\s*<dd", b"</dt><dd", content.replace(b"><", b">\n<")))


def _digest(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest()}


READERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    ".json": _json, ".jsonl": _lines_of_json, ".safetensors": _tensors, ".parquet": _parquet, ".csv": _csv,
    ".npy": _numpy, ".npz": _numpy, ".txt": _text, ".md": _text, ".html": _page,
}  # fmt: skip
