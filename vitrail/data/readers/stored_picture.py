"""A decoded picture as an array, with what its file says about how it is to be shown: what most readers give."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.readers.eight_bits import toned
from vitrail.data.readers.reader import Header
from vitrail.data.tone import Range, Tone


@dataclass(frozen=True)
class StoredPicture:
    """An upright picture with all its bits; see `reader.Picture`.

    Attributes:
        pixels: (H, W) or (H, W, 3) whole or floating-point numbers, in the unit in which images are compared: rescaled
            already (Hounsfield units of a CT, say), but neither windowed nor inverted. Unsigned bytes are grey levels.
        window: the values that the file wants shown as black and white; used where the tone says so.
        value_range: the least and greatest value that the file can hold: the scale where none was measured.
        inverted: whether low values are bright (DICOM's MONOCHROME1).

    >>> picture = StoredPicture(np.array([[0, 4095]], np.uint16), value_range=(0, 4095), inverted=True)
    >>> np.asarray(picture.seen(Tone())).tolist()
    [[255, 0]]
    """

    pixels: np.ndarray
    window: Range | None = None
    value_range: Range | None = None
    inverted: bool = False

    def __post_init__(self) -> None:
        _refuse_other_than_numbers(self.pixels)
        for name in ("window", "value_range"):
            _refuse_no_range(name, getattr(self, name))

    def values(self) -> np.ndarray | None:
        """The values where they have more than 8 bits, in this machine's byte order; else None."""
        if self.pixels.dtype in (np.uint8, np.bool_):
            return None
        return self.pixels.astype(self.pixels.dtype.newbyteorder("="), copy=False)

    def header(self) -> Header | None:
        """None: a reader tells it."""
        return None

    def seen(self, tone: Tone) -> Image.Image:
        """`L` or `RGB`, by the tone."""
        values = self.values()
        if values is not None:
            return toned(
                values, tone, window=self.window, value_range=self.value_range, inverted=self.inverted
            )  # fmt: skip
        grey = self.pixels.astype(np.uint8) * 255 if self.pixels.dtype == np.bool_ else self.pixels
        return tone.of_8_bits(Image.fromarray(np.ascontiguousarray(grey)), inverted=self.inverted)


def _refuse_other_than_numbers(pixels: object) -> None:
    if not isinstance(pixels, np.ndarray):
        raise _wrong(f"gives {type(pixels).__name__} as pixels, an array was expected")
    if not pixels.size or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise _wrong(f"gives pixels of shape {pixels.shape}, (H, W) or (H, W, 3) was expected")
    if pixels.dtype.kind not in "biuf":
        raise _wrong(f"gives pixels of type {pixels.dtype}, whole or floating-point numbers were expected")


def _refuse_no_range(name: str, range_: object) -> None:
    if range_ is None:
        return
    ends = np.asarray(range_, np.float64)
    if ends.shape != (2,) or not np.isfinite(ends).all() or ends[0] >= ends[1]:
        raise _wrong(f"gives {range_!r} as {name.replace('_', ' ')}, a least and a greatest number were expected")


def _wrong(what: str) -> UnreadableImageError:
    return UnreadableImageError(f"cannot be shown: its reader {what}", hint="the fault is the reader's: mend it")
