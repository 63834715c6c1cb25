"""What a package says is looked through for paths: where things lay on somebody's machine is nobody's business."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vitrail.basics.errors import InputError

_PATH = re.compile(r"""(?:^|[\s"'=:,(\[])(?:/(?!/)[^\s/]|~\w*/|[A-Za-z]:\\|\\\\\w)""")


def refuse_paths(said: Mapping[str, Any]) -> None:
    """Look through all texts in JSON values, names included.

    Raises:
        InputError: a text holds a path; the message says where.
    """
    for place, text in _strings(said):
        if _PATH.search(text):
            raise InputError(
                f"{place} holds a path: {text!r}; a package must not say where things lay on this machine",
                hint="write the file's or folder's own name instead",
            )


def _strings(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _strings(name, place)
            yield from _strings(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _strings(inner, f"{place}[{index}]")
