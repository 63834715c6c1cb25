"""Files that are either whole or absent: written beside, flushed to disk, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vitrail.basics.errors import InputError, SystemFault


def cache_folder() -> Path:
    """Where Vitrail keeps what it can make again: `$VITRAIL_CACHE`, else `vitrail` in `$XDG_CACHE_HOME` or
    `~/.cache`."""
    general = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(os.environ.get("VITRAIL_CACHE") or Path(general) / "vitrail")


@contextlib.contextmanager
def explained_os_errors(path: Path | str) -> Iterator[None]:
    """Turn a full disk, a missing permission and their kind into a `SystemFault` that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SystemFault(
                f"the disk is full: {path} could not be written",
                hint="free some space and run the same command again; what was finished is kept",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            where = "choose another place with --out, e.g. --out ~/runs/first"
            raise SystemFault(f"no permission to write {path}", hint=where) from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise InputError(f"{path}: a file stands where a folder is needed", hint="choose another --out") from error
        raise SystemFault(
            f"{path} cannot be written: {error.strerror or error}", hint="choose another place"
        ) from error


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears under `path` only when the block ends well.

    Raises:
        SystemFault: the disk is full or may not be written; whatever stood at `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with explained_os_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to be filled, that appears under `path` only when the block ends well; nothing may stand there yet.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with explained_os_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            flush_folder(temporary)
            temporary.rename(path)
            flush_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` atomically; see `atomic_file` for the errors."""
    with atomic_file(path) as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON with a final newline; NaN is refused, not written."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_bytes(folder: Path) -> int:
    """Space that is left on the disk where `folder` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
