"""Names of files that are no UTF-8, which reports and tables cannot hold: how they are written, and told."""

import os
import re
import sys
from collections.abc import Iterable

RENAME_HINT = "rename it, e.g. with convmv -f latin1 -t utf8 -r --notest FOLDER"
"""What to do about file names from another encoding."""


def writable_name(path: str) -> str:
    """A path that can be written into tables: bytes that are not UTF-8 (old archives) as `\\xe4`.

    `file_content` knows why there is no file of that name.
    """
    return os.fsencode(path).decode(errors="backslashreplace")


def original_name(path: str) -> bytes | None:
    """The name of which `writable_name` made `path`, where there is such a file."""
    byte = re.compile(rb"\\x([89a-f][0-9a-f])")
    original = byte.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(path))
    return original if original != os.fsencode(path) and os.path.lexists(original) else None


def name_fault(names: Iterable[bytes]) -> tuple[str, str]:
    """What is wrong with file names that Python could not read as text, and what to do about it."""
    try:
        for name in names:
            name.decode()
    except UnicodeError:
        return "is not valid UTF-8", RENAME_HINT
    reads = sys.getfilesystemencoding()
    return f"cannot be read as {reads}, in which this Python reads file names", "export PYTHONUTF8=1"
