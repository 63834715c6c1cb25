"""What opens image files: one file of this folder for each kind of them, and readers that are registered from outside.

`Reader` says what a reader must be able to do; `StoredPicture` is what most give. One of one's own is known to a script
that calls `register_reader`, and to every command where an installed package announces it in its `pyproject.toml`:

    [project.entry-points."vitrail.readers"]
    scans = "my_package:ScanReader"
"""

from vitrail.data.readers.known import register_reader
from vitrail.data.readers.reader import Header, Picture, Reader, Wanted
from vitrail.data.readers.stored_picture import StoredPicture

__all__ = ["Header", "Picture", "Reader", "StoredPicture", "Wanted", "register_reader"]
