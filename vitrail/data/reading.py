"""One image file to an upright picture of 8-bit RGB or grey, or an error that says what is wrong with the file."""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.files import IrregularFileError, Stamp, regular_file
from vitrail.basics.printable import printable
from vitrail.basics.quiet import quiet
from vitrail.data.heic import HEIC_EXTENSIONS, heic_enabled, is_heic
from vitrail.data.no_image import formats_that_begin_like, instead_of_an_image
from vitrail.data.picture_modes import as_seen
from vitrail.data.stored_values import stored_values
from vitrail.data.tiff_kinds import tiff_kind
from vitrail.data.tone import Tone
from vitrail.data.written_names import name_fault, original_name

# Written out, so that what counts as an image does not change with Pillow's version: what it decodes itself, and HEIC.
IMAGE_EXTENSIONS = frozenset({
    ".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits", ".flc",
    ".fli", ".ftc", ".ftu", ".gbr", ".gif", ".icb", ".icns", ".ico", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc",
    ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm",
    ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp",
    ".xbm", ".xpm",
}) | HEIC_EXTENSIONS  # fmt: skip
"""File extensions, lower-case with the dot, that are taken for images."""

MAX_PIXELS = 178_956_970
"""Width times height above which nothing is decoded: Pillow's own limit against decompression bombs."""

AS_STORED = Tone()
"""No scale was measured: 16 bits from 0 to 65,535, and floating point as each picture has it."""

# From a picture as stored to a picture as seen; Pillow's `ImageOps.exif_transpose` does the same.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

MAX_FILE_BYTES = 4 * 2**30
"""Size above which no file is read: more than `MAX_PIXELS` of any kind that is decoded take."""

_LARGE_FILE_BYTES = 64 * 2**20

# Recognised by Pillow but decoded by another program (Ghostscript, Windows) or not at all.
_FOREIGN_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}

# What Pillow's decoders raise on damaged files: seen when bytes are cut off or flipped.
PILLOW_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def read_image(
    source: Path | str | bytes, *, frame: int = 0, tone: Tone = AS_STORED, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Read one image the way a person sees it: upright, 8 bits, `RGB` or `L`, transparency on white, fully decoded.

    Args:
        source: a file's path, or its content.
        frame: which picture of a file that holds several, from 0.
        tone: how values of more than 8 bits are shown.
        max_pixels: width times height above which the file is refused before it is decoded; `MAX_PIXELS` at most.

    Raises:
        UnreadableImageError: the message begins with the path (`image` for bytes) and says what is wrong.
    """
    name, content = ("image", source) if isinstance(source, bytes) else (str(source), file_content(source))
    return decoded_image(content, name=name, frame=frame, tone=tone, max_pixels=max_pixels)


def decoded_image(
    content: bytes, *, name: str, frame: int = 0, tone: Tone = AS_STORED, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """`read_image` of bytes that were read before; `name` is what errors call them."""
    with opened_image(content, name=name, frame=frame, max_pixels=max_pixels) as image:
        return upright(image, tone=tone, content=content)


def upright(
    image: Image.Image, *, tone: Tone = AS_STORED, content: bytes | None = None, values: np.ndarray | None = None
) -> Image.Image:
    """Turn a picture as its EXIF orientation says and make it `RGB` or `L`; in memory, the picture itself is unchanged.

    Args:
        image: a picture in memory, of any mode; or one that is opened, which is loaded.
        tone: as for `read_image`.
        content: the bytes it was opened from, where there are any.
        values: what it stores in more than 8 bits, where that is known; see `stored_values`.

    Raises:
        UnreadableImageError: it has no pixels.
    """
    if not image.width * image.height:
        raise _fault("image", f"has no pixels ({image.width} × {image.height})", "remove it, or fetch it again")
    if values is None and tone.is_measured:
        values = stored_values(image, content)
    image.load()
    seen = as_seen(image, tone=tone, values=values)
    orientation = _orientation(image)
    if orientation > 1:
        seen = seen.transpose(_TURNS[orientation])
    # A picture that still is the opened file would drag the file's whole content along.
    return seen if type(seen) is Image.Image else seen.copy()


def file_content(path: Path | str) -> bytes:
    """A file's bytes; see `stamped_content` for the errors."""
    return stamped_content(path)[0]


def stamped_content(path: Path | str) -> tuple[bytes, Stamp]:
    """A file's bytes, and the stamp of the very file that they were read from.

    Raises:
        UnreadableImageError: there is no such file, it is a folder, a pipe or a device, is empty, far too large or
            being written, or may not be read.
    """
    try:
        with regular_file(path) as file:
            stamp = Stamp.of(file)
            _refuse_giant(path, stamp.size_bytes, file)
            content = file.read(stamp.size_bytes)
            if Stamp.of(file) != stamp or len(content) != stamp.size_bytes:
                raise _fault(path, "was written to while it was read", "wait until it is complete, then try again")
    except FileNotFoundError:
        if (original := original_name(str(path))) is not None:
            what, hint = name_fault([original])
            raise _fault(path, f"its file name {what}", hint) from None
        link = Path(path)
        missing = f"is a link to nowhere ({link.readlink()})" if link.is_symlink() else "does not exist"
        raise _fault(
            path, missing, "check the path; relative paths start at the file or folder that lists them"
        ) from None
    except IsADirectoryError:
        raise _fault(path, "is a folder, not an image", "name the files, or give the folder as the data") from None
    except PermissionError:
        raise _fault(path, "no permission to read it", f"chmod u+r '{path}'") from None
    except IrregularFileError as error:
        raise _fault(path, str(error), "remove it, or put the image itself there") from None
    except (OSError, ValueError, MemoryError) as error:
        raise _fault(path, f"cannot be read: {error}", "check the disk or copy the file again") from error
    if not content:
        raise _fault(path, "is empty (0 bytes)", "fetch the file again, or remove it")
    return content, stamp


def _refuse_giant(path: Path | str, size: int, file: BinaryIO) -> None:
    """What is much larger than pictures are is not read into memory before its beginning looks like one."""
    if size <= _LARGE_FILE_BYTES:
        return
    if size > MAX_FILE_BYTES:
        raise _fault(path, f"is too large: {size:,} bytes, the limit is {MAX_FILE_BYTES:,}", "cut it into tiles")
    try:
        with quiet(module=r"PIL\."), Image.open(file):
            pass
    except UnidentifiedImageError:
        file.seek(0)
        raise _fault(path, *instead_of_an_image(file.read(64))) from None
    except Image.DecompressionBombError as error:
        raise _too_large(str(path), None, MAX_PIXELS) from error
    except PILLOW_ERRORS as error:
        raise _damaged(str(path), error) from error
    file.seek(0)


@contextlib.contextmanager
def opened_image(content: bytes, *, name: str, frame: int = 0, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A Pillow image whose header is read and whose size is allowed; what Pillow raises in the block is explained.

    Raises:
        UnreadableImageError: also for errors of decoding inside the block.
    """
    if is_heic(content) and not heic_enabled():
        raise _fault(name, "is a HEIC picture, which needs an extra to be read", "pip install 'vitrail[heic]'")
    try:
        with quiet(module=r"PIL\."), Image.open(io.BytesIO(content)) as image:
            if image.format in _FOREIGN_FORMATS:
                raise _fault(name, f"is a {image.format} file, which is not decoded here", "convert it to PNG")
            if image.width * image.height > max_pixels:
                raise _too_large(name, image.size, max_pixels)
            if frame:
                _seek(image, frame, name)
            yield image
    except UnreadableImageError:
        raise  # told already; it is a ValueError, as some of Pillow's are
    except UnidentifiedImageError:
        raise _fault(name, *instead_of_an_image(content)) from None
    except Image.DecompressionBombError as error:
        raise _too_large(name, _stated_size(content), max_pixels) from error
    except PILLOW_ERRORS as error:
        raise _damaged(name, error, content) from error


def _seek(image: Image.Image, frame: int, name: str) -> None:
    try:
        image.seek(frame)
    except EOFError:
        # How many there are is not said: Pillow's count is wrong after a seek beyond the end (TIFF, Pillow 13.0).
        raise _fault(name, f"frame {frame} was asked for, it has fewer", "frames count from 0") from None


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or the EXIF block is damaged (viewers show such files too)."""
    try:
        value = image.getexif().get(0x0112, 1)
    except PILLOW_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _fault(name: Path | str, what: str, hint: str) -> UnreadableImageError:
    return UnreadableImageError(f"{printable(str(name))}: {what}", hint=hint)


def _too_large(name: str, size: tuple[int, int] | None, limit: int) -> UnreadableImageError:
    stated = f"{size[0]} × {size[1]} pixels" if size else "more pixels than Pillow allows"
    return _fault(
        name, f"is too large: {stated}, the limit is {limit:,} in all", "make it smaller, or cut it into tiles"
    )


def _damaged(name: str, error: BaseException, content: bytes = b"") -> UnreadableImageError:
    text = str(error).strip() or type(error).__name__
    tiff = tiff_kind(content)
    if tiff and tiff.is_whole:
        return _fault(
            name,
            f"cannot be decoded: a TIFF of {tiff.words}, none of which is missing: {text}",
            "open it in the program that wrote it and save it as PNG or as plain TIFF",
        )
    cut = isinstance(error, EOFError) or any(
        word in text.lower() for word in ("truncated", "unexpected end", "incomplete")
    )
    return _fault(name, f"is {'truncated' if cut else 'broken'}: {text}", "fetch the file again, or remove it")


def _stated_size(content: bytes) -> tuple[int, int] | None:
    """Width and height from the header; Pillow's own refusal does not tell them."""
    for kind in formats_that_begin_like(content):
        with quiet(module=r"PIL\."), contextlib.suppress(*PILLOW_ERRORS):
            return Image.OPEN[kind][0](io.BytesIO(content), "").size
    return None
