"""What is wrong with a file that Pillow cannot decode, in words."""

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from io import BufferedIOBase

from PIL import Image, UnidentifiedImageError

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.quiet import quiet
from vitrail.data.readers.photographs.no_image import formats_that_begin_like, instead_of_an_image
from vitrail.data.readers.photographs.tiff_kinds import tiff_kind
from vitrail.data.readers.reader import MAX_PIXELS, Size, too_large

# What Pillow's decoders raise on damaged files: seen when bytes are cut off or flipped.
PILLOW_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

_LARGE_FILE_BYTES = 64 * 2**20


@contextlib.contextmanager
def explained(file: BufferedIOBase | None, *, max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """What Pillow raises in the block becomes an `UnreadableImageError` that says what is wrong with the file."""
    try:
        yield
    except UnreadableImageError:
        raise  # told already; it is a ValueError, as some of Pillow's are
    except UnidentifiedImageError:
        raise fault(*instead_of_an_image(content_of(file))) from None
    except Image.DecompressionBombError as error:
        raise too_large(_stated_size(content_of(file)), max_pixels) from error
    except PILLOW_ERRORS as error:
        raise _damaged(error, content_of(file)) from error


def content_of(file: BufferedIOBase | None) -> bytes:
    """The bytes of an opened file; of one that is not in memory and is large, its beginning."""
    if file is None:
        return b""
    if isinstance(file, io.BytesIO):
        return file.getvalue()
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return file.read(size if size <= _LARGE_FILE_BYTES else 64)


def fault(what: str, hint: str) -> UnreadableImageError:
    """A file that is not read, and what to do about it."""
    return UnreadableImageError(what, hint=hint)


def _damaged(error: BaseException, content: bytes) -> UnreadableImageError:
    text = str(error).strip() or type(error).__name__
    tiff = tiff_kind(content)
    if tiff and tiff.is_whole:
        return fault(
            f"cannot be decoded: a TIFF of {tiff.words}, none of which is missing: {text}",
            "open it in the program that wrote it and save it as PNG or as plain TIFF",
        )
    cut = isinstance(error, EOFError) or any(
        word in text.lower() for word in ("truncated", "unexpected end", "incomplete")
    )
    return fault(f"is {'truncated' if cut else 'broken'}: {text}", "fetch the file again, or remove it")


def _stated_size(content: bytes) -> Size | None:
    """Width and height from the header; Pillow's own refusal does not tell them."""
    for kind in formats_that_begin_like(content):
        with quiet(module=r"PIL\."), contextlib.suppress(*PILLOW_ERRORS):
            return Image.OPEN[kind][0](io.BytesIO(content), "").size
    return None
