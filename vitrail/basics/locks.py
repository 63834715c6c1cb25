"""One process at a time in a folder."""

import contextlib
from pathlib import Path

import filelock

from vitrail.basics.errors import InputError

LOCK_NAME = ".lock"


def locked(folder: Path, *, thing: str) -> filelock.FileLock:
    """Keep other processes out of `folder` until the lock is released or this process ends, however it ends.

    Args:
        folder: must exist.
        thing: what stands there, for the message.

    Raises:
        InputError: another process is in there.
    """
    lock = filelock.FileLock(folder / LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(
            f"{folder}: another process is working on this {thing}", hint="wait for it, or choose another --out"
        ) from None
    return lock


def remove_if_unused(folder: Path) -> None:
    """Remove a folder that holds nothing but its lock, so that what was refused leaves no trace."""
    if [entry.name for entry in folder.iterdir()] == [LOCK_NAME]:
        with contextlib.suppress(OSError):  # somebody else came meanwhile: it is not unused
            (folder / LOCK_NAME).unlink()
            folder.rmdir()
