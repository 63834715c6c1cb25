"""The bytes of an image file, or an error that says why there are none."""

import contextlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.files import IrregularFileError, Stamp, regular_file
from vitrail.data.identity import image_id
from vitrail.data.opened_pictures import fault, header_of
from vitrail.data.written_names import name_fault, original_name

MAX_FILE_BYTES = 4 * 2**30
"""Size above which no file is read: more than `MAX_PIXELS` of any kind that is decoded take."""

_LARGE_FILE_BYTES = 64 * 2**20


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
                raise fault(path, "was written to while it was read", "wait until it is complete, then try again")
    except UnreadableImageError:
        raise  # told already; it is a ValueError
    except FileNotFoundError:
        if (original := original_name(str(path))) is not None:
            what, hint = name_fault([original])
            raise fault(path, f"its file name {what}", hint) from None
        link = Path(path)
        missing = f"is a link to nowhere ({link.readlink()})" if link.is_symlink() else "does not exist"
        raise fault(
            path, missing, "check the path; relative paths start at the file or folder that lists them"
        ) from None
    except IsADirectoryError:
        raise fault(path, "is a folder, not an image", "name the files, or give the folder as the data") from None
    except PermissionError:
        raise fault(path, "no permission to read it", f"chmod u+r '{path}'") from None
    except IrregularFileError as error:
        raise fault(path, str(error), "remove it, or put the image itself there") from None
    except (OSError, ValueError, MemoryError) as error:
        raise fault(path, f"cannot be read: {error}", "check the disk or copy the file again") from error
    if not content:
        raise fault(path, "is empty (0 bytes)", "fetch the file again, or remove it")
    return content, stamp


def identified_content(path: str, frame: int) -> tuple[bytes, Stamp, str]:
    """A file's bytes, its stamp and the image's id; see `stamped_content` for the errors.

    Rows of a file's frames follow each other: from the second on, they share one reading while the stamp stays.
    """
    if frame and _read_last and _read_last[0].is_still(path):
        last = _read_last[0]
        return last.content, last.stamp, f"{last.identity}:{frame}"
    _read_last.clear()
    content, stamp = stamped_content(path)
    identity = image_id(content)
    if not frame:
        return content, stamp, identity
    _read_last.append(_ReadFile(path, content, stamp, identity))
    return content, stamp, f"{identity}:{frame}"


@dataclass(frozen=True)
class _ReadFile:
    path: str
    content: bytes
    stamp: Stamp
    identity: str

    def is_still(self, path: str) -> bool:
        if path != self.path:
            return False
        with contextlib.suppress(OSError, ValueError), regular_file(path) as file:
            return Stamp.of(file) == self.stamp
        return False


_read_last: list[_ReadFile] = []
"""The file whose frames are being read, at most one."""


def _refuse_giant(path: Path | str, size: int, file: BufferedIOBase) -> None:
    """What is much larger than pictures are is not read into memory before its beginning looks like one."""
    if size <= _LARGE_FILE_BYTES:
        return
    if size > MAX_FILE_BYTES:
        raise fault(path, f"is too large: {size:,} bytes, the limit is {MAX_FILE_BYTES:,}", "cut it into tiles")
    header_of(file, name=str(path))
    file.seek(0)
