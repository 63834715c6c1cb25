"""Images that were checked stay what they were: whatever reads one later finds the bytes that were hashed, or stops."""

import pyarrow as pa

from vitrail.basics.errors import ChangedImageError, UnreadableImageError
from vitrail.basics.files import Stamp
from vitrail.basics.printable import printable
from vitrail.data.columns import AnyPlace, CheckedPlace
from vitrail.data.file_contents import file_content, stamped_content
from vitrail.data.identity import image_id


def checked_places(rows: pa.Table) -> list[CheckedPlace]:
    """Where the images of a table lie that the inspection has been through."""
    columns = [
        rows[name].to_pylist() for name in ("path", "frame", "id", "size_bytes", "modified_ns", "changed_ns", "inode")
    ]
    return [CheckedPlace(path, frame, id_, Stamp(*stamp)) for path, frame, id_, *stamp in zip(*columns, strict=True)]


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
    back = "put it back, or begin anew with --overwrite: the images are then checked as they are now"
    try:
        content, stamp = stamped_content(place.path)
    except UnreadableImageError as error:
        reason = error.message.removeprefix(f"{name}: ")
        raise ChangedImageError(f"{name}: was read when it was checked, but now {reason}", hint=back) from None
    if stamp != place.stamp and image_id(content, place.frame) != place.id:
        raise ChangedImageError(
            f"{name}: has changed since it was checked: {place.stamp.size_bytes:,} bytes then, "
            f"{len(content):,} now, and not the same ones",
            hint=back,
        )
    return content
