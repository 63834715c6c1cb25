"""A picture that Pillow opened, or that is in memory: as a person sees it, and what its header says."""

import contextlib
from functools import cached_property
from io import BufferedIOBase

import numpy as np
from PIL import ExifTags, Image

from vitrail.data.readers.photographs.faults import PILLOW_ERRORS, content_of, explained, fault
from vitrail.data.readers.photographs.picture_modes import as_seen
from vitrail.data.readers.photographs.stored_values import GREY_MODES, holds_more_than_8_bits, stored_values
from vitrail.data.readers.reader import Header, Size
from vitrail.data.tone import Tone

# From a picture as stored to a picture as seen; Pillow's `ImageOps.exif_transpose` does the same.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

# Further pictures in these files are previews, gain maps or layers, not frames of a series.
_ONE_PICTURE = {"MPO", "PSD"}


class Photograph:
    """See `readers.Picture`. Nothing is decoded before values or the picture itself are asked for.

    Args:
        image: a Pillow picture, opened or in memory; one in memory is not changed.
        file: what it was opened from.
        mode: how pixels are stored, where the picture is decoded in another way.
        size: width and height as stored, where the picture is decoded smaller.
    """

    def __init__(
        self, image: Image.Image, file: BufferedIOBase | None = None, mode: str | None = None, size: Size | None = None
    ) -> None:
        self._image, self._file = image, file
        self._mode, self._size, self._opened_size = mode or image.mode, size or image.size, image.size

    def values(self) -> np.ndarray | None:
        """See `stored_values`; decoded once."""
        return self._values

    @cached_property
    def _values(self) -> np.ndarray | None:
        with explained(self._file):
            return stored_values(self._image, None if self._file is None else content_of(self._file))

    def seen(self, tone: Tone) -> Image.Image:
        """Turned as its EXIF orientation says, `RGB` or `L`."""
        image = self._image
        if not image.width * image.height:
            raise fault(f"has no pixels ({image.width} × {image.height})", "remove it, or fetch it again")
        with explained(self._file):
            values = self._values if tone.is_measured else self.__dict__.get("_values")
            image.load()
            seen = as_seen(image, tone=tone, values=values)
            if values is None and image.mode not in GREY_MODES:
                seen = tone.of_8_bits(seen)
            orientation = self._orientation
            if orientation > 1:
                seen = seen.transpose(_TURNS[orientation])
            # A picture that still is the opened file would drag the file's whole content along.
            return seen if type(seen) is Image.Image else seen.copy()

    @property
    def _orientation(self) -> int:
        """EXIF orientation, 1 to 8; 1 where there is none or the EXIF block is damaged (viewers show such files)."""
        try:
            value = self._exif().get(0x0112, 1)
        except PILLOW_ERRORS:
            return 1
        return value if isinstance(value, int) and 1 <= value <= 8 else 1

    def _exif(self) -> Image.Exif:
        """Of a PNG that is not decoded yet, what stands before its pixels: Pillow would decode it for the rest."""
        if self._image.format == "PNG" and getattr(self._image, "tile", None):
            before = Image.Exif()
            before.load(self._image.info.get("exif") or b"")
            return before
        return self._image.getexif()

    def header(self) -> Header:
        """What the file says, told from what was opened."""
        with explained(self._file):
            bits = 16 if self._is_deep() else 8
            # Some files (icons) hold another size than they state, which is known once one is loaded.
            size = self._size if self._image.size == self._opened_size else self._image.size
            width, height = size[::-1] if self._orientation > 4 else size
            tags = self._tags()
            return Header(
                width=width,
                height=height,
                frames=self._frames(),
                format=self._image.format or "",
                bits=bits,
                mode=self._mode,
                camera=f"{tags['Make']} {tags['Model']}".strip(),
                software=tags["Software"],
            )

    def _is_deep(self) -> bool:
        """Once it is decoded, its header cannot be asked any more."""
        known = self.__dict__.get("_values")
        return known is not None or ("_values" not in self.__dict__ and holds_more_than_8_bits(self._image))

    def _frames(self) -> int:
        if self._image.format in _ONE_PICTURE:
            return 1
        # A series that breaks off later still shows its first picture.
        with contextlib.suppress(*PILLOW_ERRORS):
            return int(getattr(self._image, "n_frames", 1))
        return 1

    def _tags(self) -> dict[str, str]:
        found = dict.fromkeys(("Make", "Model", "Software"), "")
        with contextlib.suppress(*PILLOW_ERRORS):
            exif = self._exif()
            for name in found:
                value = exif.get(ExifTags.Base[name], self._image.info.get(name, ""))
                found[name] = value.strip("\0 ")[:64] if isinstance(value, str) else ""
        return found
