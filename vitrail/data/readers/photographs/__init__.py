"""Photographs, and every other picture that Pillow decodes: what is tried where no other reader knows a file."""

from vitrail.data.readers.photographs.reader import Photographs

READER = Photographs()
"""Found by `readers.known`, as every reader of this folder is."""
