"""Files that are either whole or absent: written beside, flushed to disk, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from vitrail.basics.errors import InputError, SystemFault


def cache_folder() -> Path:
    """Where Vitrail keeps what it can make again: `$VITRAIL_CACHE`, else `vitrail` in `$XDG_CACHE_HOME` or
    `~/.cache`."""
    general = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(os.environ.get("VITRAIL_CACHE") or Path(general) / "vitrail")


class Stamp(NamedTuple):
    """By what it is seen, without reading a file, that it may be another: size, times and inode."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, file: BinaryIO) -> "Stamp":
        """The stamp of an opened file."""
        status = os.fstat(file.fileno())
        # Inodes have 64 bits without a sign, columns of a table 63.
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & (2**63 - 1))


_KINDS = {
    stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket",
}  # fmt: skip


class IrregularFileError(OSError):
    """What was to be read is no file on a disk but a pipe, a device or a socket; its text says which."""


@contextlib.contextmanager
def regular_file(path: Path | str) -> Iterator[BufferedReader]:
    """A user's file, opened for reading: every place that opens one goes through here.

    Only regular files are opened, also through links: a pipe that nobody writes into would be waited for without end,
    a device would be read without end, or do something.

    Raises:
        IrregularFileError: it is a pipe, a device or a socket.
        IsADirectoryError: it is a folder.
        OSError: as `open`.
    """
    _refuse_irregular(os.stat(path), path)
    # Another thing may stand there by now; a pipe is then opened without waiting, and found out.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        _refuse_irregular(os.fstat(file.fileno()), path)
        yield file


def irregular_kind(path: Path | str) -> str | None:
    """What stands there that is neither a file nor a folder: `a named pipe`, say; None where nothing of that kind is.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        return None
    return None if kind in (stat.S_IFREG, stat.S_IFDIR) else _KINDS.get(kind, "something else")


def _refuse_irregular(status: os.stat_result, path: Path | str) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind != stat.S_IFREG:
        raise IrregularFileError(f"is {_KINDS.get(kind, 'something else')}, not a file")


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
    with regular_file(path) as file:
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
