"""Images that stand in a table themselves, as Hugging Face's data sets keep them: written out once, then read as files.

They lie in Vitrail's cache under the hash of their content, so that the same bytes are written once, whichever table
they come from, and all later stages read them as they read any file.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.basics.files import cache_folder, explained_os_errors, write_bytes

_LONGEST_NAME = 80


def embedding_columns(types: Mapping[str, pa.DataType]) -> list[str]:
    """Names of the columns that hold images: structures with a field `bytes`."""
    return [name for name, kind in types.items() if _holds_bytes(kind)]


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column of this type, where paths are expected, holds the images themselves."""
    return _holds_bytes(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def written_images(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Paths of the images in a column, each written to the cache where it is not there yet.

    Null where a row has neither bytes nor a path.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    paths = []
    for chunk in column.chunks:
        for row in range(len(chunk)):
            value = chunk[row].as_py()
            paths.append(_path(value if isinstance(value, dict) else {"bytes": value}))
    return pa.chunked_array([pa.array(paths, pa.string())])


def one_embedding(types: Mapping[str, pa.DataType], source: str) -> str | None:
    """The only column that holds images; None where there is none.

    Raises:
        InputError: there are several.
    """
    found = embedding_columns(types)
    if len(found) > 1:
        raise InputError(
            f"{source}: no column 'path', and {len(found)} that hold images: {', '.join(found)}",
            hint=f"say which it is, e.g. --columns path={found[0]}",
        )
    return found[0] if found else None


def _holds_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(kind.field(number).name == "bytes" for number in range(kind.num_fields))


def _path(value: dict[str, Any]) -> str | None:
    content, name = value.get("bytes"), value.get("path")
    if content is None:
        return name
    digest = hashlib.sha256(content).hexdigest()[:32]
    plain = re.sub(r"[^\w.-]", "_", Path(name).name)[-_LONGEST_NAME:] if name else ""
    file = cache_folder() / "embedded-images" / digest[:2] / (f"{digest}-{plain}" if plain else digest)
    with explained_os_errors(file):
        there = file.exists() and file.stat().st_size == len(content)
    if not there:
        write_bytes(file, content)
    return str(file)
