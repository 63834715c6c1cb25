"""In a model process: which images of strangers are decoded at all, told from their first bytes and their header."""

import io
from collections.abc import Callable

from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.opened_pictures import fault, header_of, named_faults
from vitrail.data.readers.known import reader_of
from vitrail.data.readers.photographs import READER as PHOTOGRAPHS
from vitrail.data.readers.photographs.faults import explained
from vitrail.data.readers.photographs.heic import is_heic
from vitrail.data.readers.reader import BEGINNING_BYTES, too_large

_ALSO = {"JPEG": ("MPO",)}
"""Telephones write a JPEG with a second one behind it, which Pillow gives another name."""

_HEIC = "HEIF"


class AdmittedImages:
    """Refuses what may not be decoded, before a pixel of it is.

    From here on Pillow knows no other format than these in this whole process, so that no decoder of a format that
    nobody sends is ever reached by a hostile file.

    Args:
        formats: names of formats, as Pillow or another reader gives them; empty: all.
        max_pixels: width times height, from the header.
    """

    def __init__(self, formats: tuple[str, ...], *, max_pixels: int) -> None:
        self._asked, self._max_pixels = formats, max_pixels
        self._formats = {*formats, *(also for name in formats for also in _ALSO.get(name, ()))}
        self._others = _forget_formats_but(self._formats) if formats else {}

    def refuse(self, content: bytes) -> None:
        """Let pass what may be decoded.

        Raises:
            UnreadableImageError: it may not, or it is no image.
        """
        self._refuse_begin(content)
        file = io.BytesIO(content)
        reader = reader_of(content[:BEGINNING_BYTES], "image")
        if reader is PHOTOGRAPHS:  # the header alone: frames, of which there may be a million, are not counted
            explaining = explained(file, max_pixels=self._max_pixels)
            with named_faults("image", reader), explaining, Image.open(file) as image:
                size, kind = image.size, image.format or ""
        else:
            header = header_of(file, name="image")
            size, kind = (header.width, header.height), header.format
        self._refuse_format(kind)
        if size[0] * size[1] > self._max_pixels:
            told = too_large(size, self._max_pixels)
            raise fault("image", told.message, told.hint)

    def _refuse_begin(self, content: bytes) -> None:
        if not self._formats:
            return
        if is_heic(content[:256]):
            self._refuse_format(_HEIC)
        begins = content[:16].ljust(16, b"\0")
        for name, is_begun in self._others.items():
            if is_begun(begins) is True:
                self._refuse_format(name)

    def _refuse_format(self, kind: str) -> None:
        if self._formats and kind.upper() not in self._formats:
            raise UnreadableImageError(
                f"image: its format is {kind or 'unknown'}, taken are {', '.join(self._asked)}",
                hint="convert it to PNG or JPEG",
            )  # fmt: skip


def _forget_formats_but(formats: set[str]) -> dict[str, Callable[[bytes], object]]:
    """How the forgotten ones begin, so that they can be called by their name."""
    Image.init()
    others: dict[str, Callable[[bytes], object]] = {
        name: begins for name, (_, begins) in Image.OPEN.items() if begins is not None and name not in formats
    }
    for name in [name for name in Image.ID if name not in formats]:
        Image.ID.remove(name)
        del Image.OPEN[name]
    return others
