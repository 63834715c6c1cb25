"""The reader of photographs: whatever Pillow decodes, and HEIC where its extra is installed."""

from io import BufferedIOBase
from typing import BinaryIO, cast

from PIL import Image

from vitrail.data.readers.photographs.faults import explained, fault
from vitrail.data.readers.photographs.heic import HEIC_EXTENSIONS, heic_enabled, is_heic
from vitrail.data.readers.photographs.no_image import formats_that_begin_like
from vitrail.data.readers.photographs.photograph import Photograph
from vitrail.data.readers.reader import WHOLE, Header, Wanted

# Written out, so that what counts as an image does not change with Pillow's version: what it decodes itself, and HEIC.
EXTENSIONS = frozenset({
    ".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits", ".flc",
    ".fli", ".ftc", ".ftu", ".gbr", ".gif", ".icb", ".icns", ".ico", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc",
    ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm",
    ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp",
    ".xbm", ".xpm",
}) | HEIC_EXTENSIONS  # fmt: skip

# Recognised by Pillow but decoded by another program (Ghostscript, Windows) or not at all.
_FOREIGN_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}


class Photographs:
    """Everything that Pillow opens; see `readers.Reader`. Also the one that says what is wrong with any other file."""

    extensions = EXTENSIONS

    def begins_like(self, beginning: bytes) -> bool:
        """Whether these are the first bytes of a format that Pillow knows by them."""
        return bool(formats_that_begin_like(beginning)) or is_heic(beginning)

    def header(self, file: BufferedIOBase) -> Header:
        """What Pillow tells before it decodes."""
        with explained(file):
            return self.picture(file, 0).header()

    def picture(self, file: BufferedIOBase, frame: int, wanted: Wanted = WHOLE) -> Photograph:
        """A picture whose header was read, and whose size is allowed; it is decoded when it is asked for.

        A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is enough. Source: Pillow's `Image.thumbnail`,
        which drafts in the same way before it reduces.
        """
        with explained(file, max_pixels=wanted.max_pixels):
            if is_heic(file.read(256)) and not heic_enabled():
                raise fault("is a HEIC picture, which needs an extra to be read", "pip install 'vitrail[heic]'")
            file.seek(0)
            image = Image.open(cast(BinaryIO, file))
            if image.format in _FOREIGN_FORMATS:
                raise fault(f"is a {image.format} file, which is not decoded here", "convert it to PNG")
            wanted.refuse_giant(*image.size)
            if frame:
                _seek(image, frame)
            stated = image.mode, image.size
            least = wanted.least(image.size) if wanted.least else None
            if least is not None:
                image.draft("L" if wanted.grey else None, least)
            return Photograph(image, file, *stated)


def _seek(image: Image.Image, frame: int) -> None:
    try:
        image.seek(frame)
    except EOFError:
        # How many there are is not said: Pillow's count is wrong after a seek beyond the end (TIFF, Pillow 13.0).
        raise fault(f"frame {frame} was asked for, it has fewer", "frames count from 0") from None
