"""What is known of images by where they lie, in a file: a million entries cost no more memory than ten."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vitrail.data.columns import Place

_KEY_BYTES = 16


class PlaceMap:
    """Values of `width` bytes by place, in a sorted file that is searched where it lies.

    A place that was entered several times has several values.
    """

    def __init__(self, file: Path, width: int) -> None:
        self._bytes = _KEY_BYTES + width
        count = file.stat().st_size // self._bytes
        kind = f"S{self._bytes}"
        self._entries = np.memmap(file, kind, "r", shape=(count,)) if count else np.empty(0, kind)

    @classmethod
    def write(cls, file: Path, entries: Iterable[tuple[Place, bytes]], *, width: int) -> "PlaceMap":
        """Write all entries to `file`; what stood there is replaced."""
        with open(file, "wb") as opened:
            opened.writelines(_key(place) + value for place, value in entries)
        if file.stat().st_size:
            sorted_in_place = np.memmap(file, f"S{_KEY_BYTES + width}", "r+")
            sorted_in_place.sort()
            sorted_in_place.flush()
        return cls(file, width)

    def __getitem__(self, place: Place) -> list[bytes]:
        """The values of a place, sorted; none for one that was not entered."""
        key = _key(place)
        found: list[bytes] = []
        for index in range(int(np.searchsorted(self._entries, np.bytes_(key))), len(self._entries)):
            entry = bytes(self._entries[index]).ljust(self._bytes, b"\0")  # NumPy takes zeros off the end
            if not entry.startswith(key):
                break
            found.append(entry[_KEY_BYTES:])
        return found

    def __len__(self) -> int:
        return len(self._entries)


def _key(place: Place) -> bytes:
    path, frame = place
    return hashlib.blake2b(f"{frame}:{path}".encode("utf-8", "surrogateescape"), digest_size=_KEY_BYTES).digest()
