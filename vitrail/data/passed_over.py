"""Files that are passed over because of their names: counted by kind and class, and looked into at their beginnings."""

import os
from collections import Counter, defaultdict

from vitrail.basics.files import regular_file
from vitrail.data.readers.photographs.heic import is_heic

INSIDE = " inside"
"""With what the kind of a file ends that holds an image although its name does not say so, e.g. `.jpg_large, JPEG`."""

_NO_EXTENSION = "(no extension)"
_OTHER = frozenset({
    ".cfg", ".css", ".csv", ".db", ".doc", ".docx", ".gz", ".htm", ".html", ".ini", ".ipynb", ".js", ".json", ".log",
    ".md", ".npy", ".npz", ".parquet", ".pdf", ".py", ".tar", ".toml", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml",
    ".yml", ".zip",
})  # fmt: skip
_OF_IMAGES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".dcm", ".dicom", ".dng", ".exr", ".hdr", ".jxl", ".jxr", ".mha", ".mhd", ".mrxs",
    ".ndpi", ".nef", ".nii", ".nrrd", ".orf", ".raf", ".rw2", ".scn", ".svg", ".svs", ".vms",
})  # fmt: skip
_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"), (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"8BPS", "PSD"), (b"SIMPLE  =", "FITS"),
)  # fmt: skip
_BEGINNING_BYTES = 132


class PassedOver(Counter[str]):
    """Counts files by kind, and beside that by class.

    A kind is an extension, `(no extension)`, or either of them with what is inside: `.dat, JPEG inside`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_class: dict[str, Counter[str]] = defaultdict(Counter)
        """Kinds of each class's files; files outside of class folders stand under an empty name."""

    def take(self, label: str, counts: Counter[str]) -> None:
        """Count files of a class."""
        self.update(counts)
        if counts:
            self.by_class[label].update(counts)


def kind_of(path: str) -> str:
    """The kind of a file whose extension is none of an image."""
    stem, extension = os.path.splitext(os.path.basename(path).lower())
    if extension == ".gz":
        extension = os.path.splitext(stem)[1] + extension
    named = extension or _NO_EXTENSION
    inside = "" if extension in _OTHER and not _hides(stem) else _inside(path)
    return f"{named}, {inside}{INSIDE}" if inside else named


def may_be_images(kind: str) -> bool:
    """Whether files of a kind hold images, by their extension or by how they begin."""
    return kind.endswith(INSIDE) or kind.removesuffix(".gz") in _OF_IMAGES


def _hides(stem: str) -> bool:
    """Names such as `photo.jpg.txt`."""
    return "." in stem


def _inside(path: str) -> str:
    try:
        with regular_file(path) as file:
            beginning = file.read(_BEGINNING_BYTES)
    except OSError:
        return ""
    if beginning[128:132] == b"DICM":
        return "DICOM"
    if is_heic(beginning):
        return "HEIC"
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WEBP"
    return next((name for start, name in _BEGINNINGS if beginning.startswith(start)), "")
