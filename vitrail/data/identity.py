"""An image's id, by which everything joins: a hash of its content, and its frame. And ids of places, kept on disk."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from vitrail.data.columns import Place
from vitrail.data.place_map import PlaceMap

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


class KnownImages:
    """Which content is known of which places, in a file that is looked up where it lies."""

    def __init__(self, file: Path) -> None:
        self._ids = PlaceMap(file, PACKED_BYTES)

    @classmethod
    def write(cls, file: Path, images: Iterable[tuple[Place, str]]) -> "KnownImages":
        """Write places and ids to `file`; what stood there is replaced."""
        PlaceMap.write(file, ((place, packed_id(identity)) for place, identity in images), width=PACKED_BYTES)
        return cls(file)

    def ids(self, place: Place) -> list[str]:
        """The ids that are known of a place: none, one, or more where it was entered more often."""
        return [unpacked_id(packed) for packed in self._ids[place]]

    def __len__(self) -> int:
        return len(self._ids)
