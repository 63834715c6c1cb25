"""What a reader of image files is: it knows them by their beginning, tells their header, and gives one picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.tone import Tone

MAX_PIXELS = 178_956_970
"""Width times height above which nothing is decoded: Pillow's own limit against decompression bombs."""

BEGINNING_BYTES = 132
"""How much of a file `begins_like` is shown: DICOM has its mark at byte 128."""

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself before anything is decoded.

    Attributes:
        width: pixels, as seen upright.
        height: pixels, as seen upright.
        frames: number of pictures in the file.
        frames_are_images: whether each of them is an image of its own: a folder then has a row, and a prediction an
            answer, for each. Otherwise the first is the image, and a table may name others.
        format: the format's name, as the check shows it.
        bits: of each value; beyond 8, pictures are shown on the scale of the data set (see `Tone`).
        mode: the kind of pixels, as the check shows it; `12 bits` where nothing else is said.
        value_range: least and greatest value that a pixel can have, on the scale of the picture's values.
        columns: what else the header says, by name: columns of the image table, as text or numbers. `group` (a patient)
            keeps images on one side of a split. What a table says itself goes before.
        camera: maker and model of the device.
        software: the program that wrote the file.
    """

    width: int
    height: int
    frames: int = 1
    frames_are_images: bool = False
    format: str = ""
    bits: int = 8
    mode: str = ""
    value_range: tuple[int | float, int | float] | None = None
    columns: Mapping[str, str | int | float | None] = field(default_factory=dict)
    camera: str = ""
    software: str = ""


@dataclass(frozen=True)
class Wanted:
    """How much of a picture is needed. A reader may give more, but nothing that is larger than `max_pixels`.

    Attributes:
        max_pixels: width times height beyond which the file is refused before it is decoded.
        grey: whether grey levels are enough.
        least: given the size of the whole picture, the size down to which it may be decoded smaller, or None where all
            of it is needed; None: for all pictures.
    """

    max_pixels: int = MAX_PIXELS
    grey: bool = False
    least: Callable[[Size], Size | None] | None = None

    def refuse_giant(self, width: int, height: int) -> None:
        """For readers, when they know the size and have decoded nothing yet.

        Raises:
            UnreadableImageError: it has more than `max_pixels`.
        """
        if width * height > self.max_pixels:
            raise too_large((width, height), self.max_pixels)


WHOLE = Wanted()


@runtime_checkable
class Picture(Protocol):
    """One picture with all the bits that are stored, perhaps decoded only when it is asked for."""

    def header(self) -> Header | None:
        """What the header of its file says, where that is at hand; None: ask the reader."""

    def values(self) -> np.ndarray | None:
        """Its values, (H, W) or (H, W, C), where they have more than 8 bits, signed or floating; else None."""

    def seen(self, tone: Tone) -> Image.Image:
        """As a person sees it: upright, 8 bits, `RGB` or `L`, on white."""


@runtime_checkable
class Reader(Protocol):
    """Opens files of one kind. It must be picklable, since worker processes get it, and keep no file open.

    Whatever one of its methods raises makes the file unreadable, and is told: an `UnreadableImageError` in its own
    words (they begin where the path ends: `is truncated`), anything else by type and text.
    """

    @property
    def extensions(self) -> frozenset[str]:
        """File extensions that are taken for images of this kind, lower-case with the dot."""

    def begins_like(self, beginning: bytes) -> bool:
        """Whether a file with these first bytes, `BEGINNING_BYTES` at most, is one of this kind for sure."""

    def header(self, file: BufferedIOBase) -> Header:
        """What the file says of itself, without decoding a pixel."""

    def picture(self, file: BufferedIOBase, frame: int, wanted: Wanted) -> Picture:
        """One picture of the file, from 0; the others are not decoded.

        Args:
            file: can be read and sought, and is at its beginning.
            frame: which picture of the file.
            wanted: how much of it is needed.
        """


def too_large(size: Size | None, limit: int) -> UnreadableImageError:
    """What is said of a file that states too large a picture."""
    stated = f"{size[0]} × {size[1]} pixels" if size else "more pixels than Pillow allows"
    return UnreadableImageError(
        f"is too large: {stated}, the limit is {limit:,} in all", hint="make it smaller, or cut it into tiles"
    )
