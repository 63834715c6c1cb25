"""Files of strangers, looked at before they are opened: nothing that waits, never ends, or is larger than what for."""

import os
import stat
import sys
from pathlib import Path

from vitrail.basics.strict_json import MOST_BYTES


def fault_of_file(path: Path, *, most_bytes: int, within: Path | None = None) -> str | None:
    """Why a file must not be read, in words; None when it may be.

    Args:
        path: a pipe, a device, a socket and a folder are refused without being opened.
        most_bytes: largest size that makes sense, holes included.
        within: folder that a link must not leave; None: links are followed wherever they lead.
    """
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "is a link to nowhere" if path.is_symlink() else "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not stat.S_ISREG(facts.st_mode):
        return "is no ordinary file"
    if facts.st_size > most_bytes:
        return f"has {facts.st_size:,} bytes, at most {most_bytes:,} were expected"
    if within is not None and not _lies_within(path, within):
        return "is a link that leads out of the folder"
    return None


def plain_content(path: Path) -> bytes:
    """The bytes of a small ordinary file.

    Raises:
        ValueError: it is none, or large; in words.
    """
    fault = fault_of_file(path, most_bytes=MOST_BYTES)
    if fault:
        raise ValueError(fault)
    return path.read_bytes()


def memory_bytes() -> int:
    """Memory of this machine: a file of weights that is larger cannot be used here, whatever it holds."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _lies_within(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, or where the Hugging Face hub's cache keeps the files of that folder."""
    real, home = path.resolve(), folder.resolve()
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    return real.is_relative_to(home) or real.is_relative_to(blobs)
