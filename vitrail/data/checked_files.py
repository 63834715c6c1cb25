"""Images that were checked stay what they were: whatever reads one later finds the bytes that were hashed, or stops."""

import contextlib
from collections.abc import Iterator

import pyarrow as pa

from vitrail.basics.errors import ChangedImageError, UnreadableImageError
from vitrail.basics.files import Stamp, regular_file
from vitrail.basics.printable import printable
from vitrail.data.columns import AnyPlace, CheckedPlace
from vitrail.data.file_contents import file_content, stamped_content
from vitrail.data.identity import image_id
from vitrail.data.opened_pictures import opened_picture
from vitrail.data.readers.known import other_reader_of
from vitrail.data.readers.reader import WHOLE, Picture, Wanted

_PUT_BACK = "put it back, or begin anew with --overwrite: the images are then checked as they are now"


def checked_places(rows: pa.Table) -> list[CheckedPlace]:
    """Where the images of a table lie that the inspection has been through."""
    columns = [
        rows[name].to_pylist() for name in ("path", "frame", "id", "size_bytes", "modified_ns", "changed_ns", "inode")
    ]
    return [CheckedPlace(path, frame, id_, Stamp(*stamp)) for path, frame, id_, *stamp in zip(*columns, strict=True)]


@contextlib.contextmanager
def opened_place(place: AnyPlace, *, wanted: Wanted = WHOLE) -> Iterator[Picture]:
    """The picture of an image, opened; it is decoded in the block, in which what goes wrong is explained.

    Photographs are read whole. Of files of other kinds, which may hold hundreds of frames, only what this frame needs
    is read, where size, times and inode are what they were.

    Raises:
        ChangedImageError: as `content_of`.
        UnreadableImageError: the file cannot be read or decoded.
    """
    path, frame = place[0], place[1]
    if other_reader_of(path) is not None:
        with regular_file(path) as file:
            stamp = Stamp.of(file)
            if not isinstance(place, CheckedPlace) or stamp == place.stamp:
                with opened_picture(file, name=path, frame=frame, wanted=wanted) as picture:
                    yield picture
                if Stamp.of(file) != stamp:
                    raise ChangedImageError(f"{printable(path)}: was written to while it was read", hint=_PUT_BACK)
                return
    with opened_picture(content_of(place), name=path, frame=frame, wanted=wanted) as picture:
        yield picture


def content_of(place: AnyPlace) -> bytes:
    """The bytes of an image's file; of one that was checked, the bytes that were hashed then.

    Where size, times and inode are as they were, nothing is hashed; where they are not (touched, copied back), the
    bytes decide.

    Raises:
        ChangedImageError: the file holds other bytes now, is gone or cannot be read any more.
        UnreadableImageError: a file that was not checked cannot be read.
    """
    if not isinstance(place, CheckedPlace):
        return file_content(place[0])
    name = printable(place.path)
    try:
        content, stamp = stamped_content(place.path)
    except UnreadableImageError as error:
        reason = error.message.removeprefix(f"{name}: ")
        raise ChangedImageError(f"{name}: was read when it was checked, but now {reason}", hint=_PUT_BACK) from None
    if stamp != place.stamp and image_id(content, place.frame) != place.id:
        raise ChangedImageError(
            f"{name}: has changed since it was checked: {place.stamp.size_bytes:,} bytes then, "
            f"{len(content):,} now, and not the same ones",
            hint=_PUT_BACK,
        )
    return content
