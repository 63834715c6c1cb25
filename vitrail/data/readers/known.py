"""Which reader opens a file: by its first bytes, then by its extension.

Readers come from three places: modules of this folder that have a `READER`; installed packages that announce one
(entry points of the group `vitrail.readers`); and `register_reader`. Worker processes use those of their caller.
"""

import functools
import importlib
import importlib.metadata
import os
import pkgutil
from pathlib import Path
from typing import Any

from vitrail.basics.errors import SystemFault
from vitrail.basics.files import regular_file
from vitrail.data.readers.photographs import READER as PHOTOGRAPHS
from vitrail.data.readers.reader import BEGINNING_BYTES, Reader

GROUP = "vitrail.readers"
"""Entry points of this name give a reader, or a class or function that makes one without arguments."""

_registered: list[Reader] = []
_of_caller: list[tuple[Reader, ...]] = []
"""In a worker process: what its caller knows."""


def register_reader(reader: Any) -> None:
    """Have files of another kind opened, in this process and in all worker processes that it starts or has.

    It goes before the readers that were there, the latest first. Registering an equal one again changes nothing.

    Args:
        reader: see `readers.Reader`.

    Raises:
        TypeError: it lacks something that a reader has.
    """
    lacking = [name for name in ("extensions", "begins_like", "header", "picture") if not hasattr(reader, name)]
    if lacking:
        raise TypeError(f"{reader!r} is no reader, it has no {', '.join(lacking)}; see vitrail.data.readers.Reader")
    if reader not in _registered:
        _registered.insert(0, reader)


def forget_reader(reader: Reader) -> None:
    """Take back `register_reader`."""
    _registered.remove(reader)


def other_readers() -> tuple[Reader, ...]:
    """Every reader but that of photographs, in the order in which they are asked: what workers are sent."""
    if _of_caller:
        return _of_caller[0]
    return (*_registered, *_announced(), *_built_in())


def use_readers(readers: tuple[Reader, ...]) -> None:
    """For worker processes: from now on, use the readers of the caller."""
    _of_caller[:] = [readers]


def reader_of(beginning: bytes, name: str) -> Reader:
    """The reader of a file, from its first bytes and its name; that of photographs where no other knows it."""
    others = other_readers()
    begins = beginning[:BEGINNING_BYTES]
    known = next((reader for reader in others if _begins_like(reader, begins)), None)
    if known is not None or not others:
        return known or PHOTOGRAPHS
    extension = _extension(name)
    named = next((reader for reader in others if extension in reader.extensions), None)
    return PHOTOGRAPHS if named is None or PHOTOGRAPHS.begins_like(begins) else named


def other_reader_of(path: str | Path) -> Reader | None:
    """The reader of a file, where it is another than that of photographs.

    A file that is a photograph by its name is not opened to see that, unless another reader takes that name, too.
    """
    others, extension = other_readers(), _extension(str(path))
    if not others or (extension in PHOTOGRAPHS.extensions and not any(extension in each.extensions for each in others)):
        return None
    try:
        with regular_file(path) as file:
            reader = reader_of(file.read(BEGINNING_BYTES), str(path))
    except (OSError, ValueError):
        return None
    return None if reader is PHOTOGRAPHS else reader


def is_named_like_an_image(name: str) -> bool:
    """Whether any reader takes files with this extension for images."""
    extension = _extension(name)
    return extension in PHOTOGRAPHS.extensions or any(extension in each.extensions for each in other_readers())


def is_taken_for_an_image(path: str) -> bool:
    """Whether a file in a folder is an image, by its extension or, but for photographs, by its first bytes."""
    return is_named_like_an_image(path) or other_reader_of(path) is not None


def _begins_like(reader: Reader, beginning: bytes) -> bool:
    try:
        return bool(reader.begins_like(beginning))
    except Exception:  # noqa: BLE001 — a stranger's: what it cannot even look at is not its own
        return False


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()


@functools.cache
def _built_in() -> tuple[Reader, ...]:
    """The readers of this folder but that of photographs, which is asked last."""
    folder = importlib.import_module(__package__ or "")
    names = sorted(each.name for each in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."))
    found = (getattr(importlib.import_module(name), "READER", None) for name in names)
    return tuple(reader for reader in found if reader is not None and reader is not PHOTOGRAPHS)


@functools.cache
def _announced() -> tuple[Reader, ...]:
    """The readers of installed packages.

    Raises:
        SystemFault: one of them cannot be loaded.
    """
    found = []
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda each: each.name):
        try:
            loaded = entry.load()
            found.append(loaded if hasattr(type(loaded), "picture") else loaded())
        except Exception as error:
            of = entry.dist.name if entry.dist else entry.value
            raise SystemFault(
                f"the reader {entry.name!r} of the package {of} cannot be loaded: {type(error).__name__}: {error}",
                hint=f"mend or remove that package: pip uninstall {of}",
            ) from error
    return tuple(found)
