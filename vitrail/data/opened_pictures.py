"""Files opened by their readers, whose faults are told with the file's name."""

import contextlib
import io
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from vitrail.basics.errors import UnreadableImageError, VitrailError
from vitrail.basics.printable import printable
from vitrail.basics.quiet import quiet
from vitrail.data.readers.known import reader_of
from vitrail.data.readers.photographs import READER as PHOTOGRAPHS
from vitrail.data.readers.reader import BEGINNING_BYTES, WHOLE, Header, Picture, Reader, Wanted

MOST_FRAMES = 1_000_000
"""More than a file is believed to hold."""

_MEND_READER = "the fault is the reader's: mend it"


@contextlib.contextmanager
def opened_picture(
    source: bytes | BufferedIOBase, *, name: str, frame: int = 0, wanted: Wanted = WHOLE
) -> Iterator[Picture]:
    """A picture whose header is read and whose size is allowed; what is raised in the block is explained.

    Args:
        source: the content of a file, or an opened file, of which only what the picture needs is read.
        name: what errors call it.
        frame: which picture of it.
        wanted: how much of the picture is needed.

    Raises:
        UnreadableImageError: also for errors of decoding inside the block.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    reader = reader_of(file.read(BEGINNING_BYTES), name)
    file.seek(0)
    with named_faults(name, reader):
        picture = reader.picture(file, frame, wanted)
        if not hasattr(picture, "seen"):
            what = f"cannot be shown: its reader gives {type(picture).__name__}, a picture was expected"
            raise UnreadableImageError(what, hint=_MEND_READER)
        yield picture


def header_of(file: BufferedIOBase, *, name: str) -> Header:
    """What a file says of itself, without decoding it.

    Raises:
        UnreadableImageError: it cannot be read, or says what cannot be.
    """
    reader = reader_of(file.read(BEGINNING_BYTES), name)
    file.seek(0)
    with named_faults(name, reader):
        header = reader.header(file)
        if not isinstance(header, Header):
            what = f"cannot be shown: its reader gives {type(header).__name__}, a header was expected"
            raise UnreadableImageError(what, hint=_MEND_READER)
        if not isinstance(header.frames, int) or not 1 <= header.frames <= MOST_FRAMES:
            raise UnreadableImageError(f"states {header.frames} frames", hint="fetch the file again, or remove it")
        return header


@contextlib.contextmanager
def named_faults(name: str, reader: Reader) -> Iterator[None]:
    """What a reader raises in the block becomes an `UnreadableImageError` that begins with the file's name."""
    is_ours = reader is PHOTOGRAPHS
    try:
        with quiet(module=r"PIL\." if is_ours else ""):
            yield
    except UnreadableImageError as error:
        raise fault(name, error.message, error.hint) from error.__cause__
    except Exception as error:
        if is_ours:
            raise
        if isinstance(error, VitrailError):  # an extra that is not installed, say
            raise fault(name, f"cannot be read: {error.message}", error.hint) from error
        told = printable(" ".join(f"{type(error).__name__}: {error}".split()))
        what = f"is broken, or its reader is: {told[:500]}"
        raise fault(name, what, "fetch the file again, or remove it") from error


def fault(name: Path | str, what: str, hint: str | None) -> UnreadableImageError:
    """What is wrong with a file."""
    return UnreadableImageError(f"{printable(str(name))}: {what}", hint=hint)
