"""What kind of TIFF a file says it is: to tell a sound file of a kind that is not read from one that breaks off."""

import contextlib
import io
import struct
from dataclasses import dataclass

from PIL import TiffImagePlugin

from vitrail.basics.quiet import quiet

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_COMPRESSIONS = {
    1: "no compression", 2: "CCITT fax", 3: "CCITT fax 3", 4: "CCITT fax 4", 5: "LZW", 6: "old JPEG", 7: "JPEG",
    8: "deflate", 32773: "PackBits", 32946: "deflate", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000",
    34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL",
}  # fmt: skip
_SAMPLES = {1: "integers", 2: "signed integers", 3: "floating point", 5: "complex integers", 6: "complex numbers"}
# What Pillow raises on directories of every kind of damage.
_FAULTS = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError,
    RuntimeError, AssertionError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class TiffKind:
    """What a TIFF says of its first picture.

    Attributes:
        words: size, channels, kind of numbers and compression.
        is_whole: whether all of the data that it speaks of lies within the file.
    """

    words: str
    is_whole: bool


def tiff_kind(content: bytes) -> TiffKind | None:
    """The kind of a TIFF; None where the file is none, or its directory cannot be read."""
    if content[:4] not in _STARTS:
        return None
    with contextlib.suppress(*_FAULTS), quiet(module=r"PIL\."):
        return _kind(content)
    return None


def _kind(content: bytes) -> TiffKind | None:
    is_big = content[2:4] in (b"+\0", b"\0+")
    tags = TiffImagePlugin.ImageFileDirectory_v2(content[: 16 if is_big else 8])
    file = io.BytesIO(content)
    file.seek(tags.next)
    tags.load(file)
    width, height = tags.get(256), tags.get(257)
    if not width or not height:
        return None
    bits = _several(tags.get(258, 1))
    channels, numbers = tags.get(277, 1), _SAMPLES.get(_several(tags.get(339, 1))[0], "undefined numbers")
    compression = tags.get(259, 1)
    starts, lengths = _several(tags.get(273, tags.get(324, ()))), _several(tags.get(279, tags.get(325, ())))
    ends = [start + length for start, length in zip(starts, lengths, strict=False)]
    of = f"{channels} {'channel' if channels == 1 else 'channels'} of {bits[0]}-bit {numbers}"
    words = f"{width} × {height} pixels, {of}, {_COMPRESSIONS.get(compression, f'compression {compression}')}"
    return TiffKind(words, bool(ends) and max(ends) <= len(content))


def _several(value: object) -> tuple:
    return value if isinstance(value, tuple) else (value,)
