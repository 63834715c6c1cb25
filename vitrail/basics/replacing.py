"""Something finished makes room for its successor, and comes back if that fails; kill -9 at any moment loses nothing.

What makes room is moved into a folder called `BEING_MOVED`, entry by entry, and that folder is then renamed to
`REPLACED`. So `REPLACED` is always whole, and whatever lies in `BEING_MOVED` belongs where it came from.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.basics.files import flush_folder

REPLACED, BEING_MOVED = ".replaced", ".being-moved"


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Move entries of `folder` into `REPLACED`, all or none; something that stands there already moves along."""
    put_back(folder)
    there = [name for name in names if os.path.lexists(folder / name)]
    if not there:
        return
    moving = folder / BEING_MOVED
    moving.mkdir()
    for name in (*there, *([REPLACED] if (folder / REPLACED).exists() else [])):
        os.replace(folder / name, moving / name)
    os.replace(moving, folder / REPLACED)
    flush_folder(folder)


def put_back(folder: Path) -> None:
    """End what was interrupted while things were moved: everything is where it was before.

    Raises:
        InputError: something else stands there by now.
    """
    moving = folder / BEING_MOVED
    if not moving.is_dir():
        return
    for entry in sorted(moving.iterdir()):
        if os.path.lexists(folder / entry.name):
            raise InputError(
                f"{folder}: {entry.name} stands there twice, the other is in {BEING_MOVED}; both were left alone",
                hint=f"remove the one that is not wanted, or choose another --out than {folder}",
            )
        os.replace(entry, folder / entry.name)
    moving.rmdir()
    flush_folder(folder)


def bring_back(folder: Path) -> None:
    """Put what was set aside where it came from."""
    put_back(folder)
    if (folder / REPLACED).is_dir():
        os.replace(folder / REPLACED, folder / BEING_MOVED)
        put_back(folder)


def remove(path: Path) -> None:
    """Remove a file or folder: it is whole, or it is not there under this name."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.partial")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def is_partial(entry: Path) -> bool:
    """Whether this is a file or folder that a killed process was writing, or removing."""
    return entry.name.startswith(".") and entry.name.endswith(".partial")


def remove_partial(folder: Path) -> None:
    """Remove what killed processes were writing in `folder`."""
    for entry in [entry for entry in folder.iterdir() if is_partial(entry)] if folder.is_dir() else []:
        shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
