"""What opens image files: one file of this folder for each kind of them, and readers that are registered from outside.

`register_reader` takes a reader of one's own; `Reader` says what it must be able to do.
"""

from vitrail.data.readers.known import register_reader
from vitrail.data.readers.reader import Header, Picture, Reader, Wanted
from vitrail.data.readers.stored_picture import StoredPicture

__all__ = ["Header", "Picture", "Reader", "StoredPicture", "Wanted", "register_reader"]
