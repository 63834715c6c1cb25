"""An image's id, by which everything joins: a hash of its content, and its frame. And sets of ids that live on disk."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

PACKED_BYTES = 20
"""Length of a packed id: 16 bytes of the hash, 4 of the frame."""


def image_id(content: bytes, frame: int = 0) -> str:
    """First 32 hexadecimal digits of the SHA-256 of a file's bytes, `:FRAME` added beyond frame 0.

    >>> image_id(b"", 2)
    'e3b0c44298fc1c149afbf4c8996fb924:2'
    """
    return hashlib.sha256(content).hexdigest()[:32] + (f":{frame}" if frame else "")


def packed_id(identity: str) -> bytes:
    """An id in `PACKED_BYTES` bytes."""
    digits, _, frame = identity.partition(":")
    return bytes.fromhex(digits) + int(frame or 0).to_bytes(4, "big")


def unpacked_id(packed: bytes) -> str:
    """The id that `packed_id` packed."""
    frame = int.from_bytes(packed[16:], "big")
    return packed[:16].hex() + (f":{frame}" if frame else "")


class KnownIds:
    """A set of ids in a file, looked up in place: it costs no memory, however many there are."""

    def __init__(self, file: Path) -> None:
        count = file.stat().st_size // PACKED_BYTES
        self._ids = np.memmap(file, f"S{PACKED_BYTES}", "r", shape=(count,)) if count else np.empty(0, "S1")

    @classmethod
    def write(cls, file: Path, ids: Iterable[str]) -> "KnownIds":
        """Write the set, sorted, to `file`; what stood there is replaced."""
        with open(file, "wb") as opened:
            opened.writelines(map(packed_id, ids))
        if file.stat().st_size:
            sorted_in_place = np.memmap(file, f"S{PACKED_BYTES}", "r+")
            sorted_in_place.sort()
            sorted_in_place.flush()
        return cls(file)

    def __contains__(self, identity: str) -> bool:
        wanted = np.array(packed_id(identity), f"S{PACKED_BYTES}")
        place = int(np.searchsorted(self._ids, wanted))
        return place < len(self._ids) and bool(self._ids[place] == wanted)

    def __len__(self) -> int:
        return len(self._ids)
