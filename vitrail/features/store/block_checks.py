"""Checksums of a store's large files, one for every block, so that what is read is verified and nothing else is read.

They stand in a file beside, which is written before the file that it belongs to takes the place of an older one: it
then knows both, and a process may die between the two.
"""

import io
import zlib
from pathlib import Path
from typing import Any

from vitrail.basics.checks import damaged, read_checked_json, write_checked_json
from vitrail.basics.errors import DamagedError

BLOCK_BYTES = 2**20
SUFFIX = ".crc32"
HINT = "run the same vitrail features command again: it computes again what is damaged"


def write_checks(path: Path, written: Path) -> None:
    """Note the checksums of the file `written`, which is about to be renamed to `path`."""
    older = _versions(path) if _checks_file(path).exists() else []
    with open(written, "rb") as file:
        blocks = [f"{zlib.crc32(block):08x}" for block in iter(lambda: file.read(BLOCK_BYTES), b"")]
    newest = {"bytes": written.stat().st_size, "blocks": "".join(blocks)}
    write_checked_json(_checks_file(path), {"block_bytes": BLOCK_BYTES, "versions": [newest, *older[:1]]})


def forget_older_checks(path: Path) -> None:
    """Say that the newest version of a file is the one that stands there now."""
    newest, *older = _versions(path)
    if older:
        write_checked_json(_checks_file(path), {"block_bytes": BLOCK_BYTES, "versions": [newest]})


def is_sound(path: Path) -> bool:
    """Whether a file is what was written, as far as there are checksums: earlier versions wrote none."""
    try:
        CheckedFile(path).verify(0, path.stat().st_size)
    except (DamagedError, OSError):
        return False
    return True


class CheckedFile(io.RawIOBase):
    """A file of which no byte is given before the block that it is in was verified.

    Raises:
        DamagedError: when opened, or read: the file is not what was written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115 - closed with this object
        self._size = path.stat().st_size
        self._unverified: set[int] = set()
        self._blocks: list[list[str]] = []
        if not _checks_file(path).exists():
            return
        fitting = [each["blocks"] for each in _versions(path) if each["bytes"] == self._size]
        if not fitting:
            raise damaged(path, hint=HINT)
        self._blocks = [[text[start : start + 8] for start in range(0, len(text), 8)] for text in fitting]
        self._unverified = set(range(len(self._blocks[0])))

    def verify(self, start: int, end: int) -> None:
        """Raise unless the bytes from `start` to `end` are what was written.

        Raises:
            DamagedError: they are not.
        """
        for number in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            if number in self._unverified:
                self._file.seek(number * BLOCK_BYTES)
                check = f"{zlib.crc32(self._file.read(BLOCK_BYTES)):08x}"
                if all(blocks[number] != check for blocks in self._blocks):
                    raise damaged(self._path, hint=HINT)
                self._unverified.discard(number)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As every file's."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As every file's."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """As every file's; what is given is verified."""
        start = self._file.tell()
        self.verify(start, min(start + len(buffer), self._size))
        self._file.seek(start)
        return self._file.readinto(buffer)

    def close(self) -> None:
        """As every file's."""
        self._file.close()
        super().close()


def _checks_file(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _versions(path: Path) -> list[dict[str, Any]]:
    values = read_checked_json(_checks_file(path), hint=HINT)
    return values["versions"]
