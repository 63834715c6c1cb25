"""Converted models on disk: each in a folder of its own, whole or absent, checked before it is used, and replaceable.

They are built from local weights in seconds, belong to this machine and its versions, and are never part of a package.
The whole folder may be deleted at any time.
"""

import errno
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vitrail.basics.errors import SystemFault
from vitrail.basics.files import cache_folder, free_bytes, sha256_of, write_json

CONTENTS = "contents.json"
"""Names what a folder was built from, and the SHA-256 of every other file in it."""
MOST_BYTES = 10 * 2**30
"""When all converted models together take more, those that were not used for longest are removed."""
NEARLY_FULL_BYTES = 2**20
"""A disk with less free space is what a converter failed at."""
ABANDONED_SECONDS = 24 * 3600
"""After so long, what a killed process left half built is removed."""


def runtimes_folder() -> Path:
    """Where converted models lie."""
    return cache_folder() / "runtimes"


def cached(key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder that `build` makes for this key: built at the first call, and again where it was damaged.

    Several processes may ask at once: each builds, the first one's is kept.

    Args:
        key: JSON-able; everything that the result depends on.
        build: writes files into the empty folder it is given.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    place = runtimes_folder() / name
    try:
        if not _is_whole(place):
            _build(place, key, build)
            _make_room(place)
        os.utime(place / CONTENTS)
    except OSError as error:
        if error.errno is None:  # a converter's own, nothing to do with the disk
            raise
        raise SystemFault(
            f"{place.parent} cannot be written: {error.strerror or error}",
            hint="set VITRAIL_CACHE to a folder with space, or use the runtime torch",
        ) from error
    return place


def _is_whole(place: Path) -> bool:
    try:
        digests = json.loads((place / CONTENTS).read_text(encoding="utf-8"))["files"]
        return len(digests) > 0 and all(sha256_of(place / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _build(place: Path, key: Mapping[str, Any], build: Callable[[Path], None]) -> None:
    temporary = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}.partial")
    temporary.mkdir(parents=True)
    try:
        try:
            build(temporary)
        except Exception as error:  # converters have words of their own for a full disk
            if free_bytes(temporary) < NEARLY_FULL_BYTES and not isinstance(error, OSError):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise
        digests = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / CONTENTS, {"built_from": dict(key), "files": digests})
        if not _is_whole(place):  # what stands there now is damaged, or nothing; or another process was faster
            shutil.rmtree(place, ignore_errors=True)
            _rename(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, place: Path) -> None:
    try:
        temporary.rename(place)
    except OSError:
        if not _is_whole(place):
            raise


def _make_room(kept: Path) -> None:
    """Remove what was abandoned, and what was not used for longest when all of it is too much."""
    used = []
    for folder in kept.parent.iterdir():
        last = _last_use(folder)
        if folder.name.startswith(".") and time.time() - last > ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        elif not folder.name.startswith("."):
            used.append((folder != kept, -last, folder))
    total = 0
    for _, _, folder in sorted(used):
        total += sum(path.stat().st_size for path in folder.glob("*"))
        if total > MOST_BYTES and folder != kept:
            shutil.rmtree(folder, ignore_errors=True)


def _last_use(folder: Path) -> float:
    stamp = folder / CONTENTS
    try:
        return (stamp if stamp.exists() else folder).stat().st_mtime
    except OSError:
        return time.time()
