"""Pictures however a caller has them: files, folders and patterns, contents of files, pictures and arrays in memory."""

import functools
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from vitrail.basics.errors import InputError, UnreadableImageError
from vitrail.basics.quiet import quiet
from vitrail.data.checked_files import content_of
from vitrail.data.columns import AnyPlace, CheckedPlace
from vitrail.data.file_contents import identified_content
from vitrail.data.frames import places_in
from vitrail.data.identity import image_id
from vitrail.data.image_paths import image_paths
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.readers.photographs.faults import PILLOW_ERRORS
from vitrail.data.reading import decoded_image, upright
from vitrail.data.tone import Tone
from vitrail.data.workers import map_in_workers, usable_cores

Picture = AnyPlace | bytes | Image.Image | np.ndarray
"""An image in a file, one that was checked there, the content of a file, or a picture in memory."""

FEW = 32
"""So many pictures are read ahead to see how many there are; for fewer, starting processes does not pay off."""

_NAMELESS = "image in memory"


@runtime_checkable
class Shown(Protocol):
    """How a picture is shown to a model: `Preprocessing`, or several views of it."""

    @property
    def tone(self) -> Tone:
        """How values of more than 8 bits become grey levels."""

    def pixels(self, image: Image.Image) -> np.ndarray:
        """What the model sees of an upright RGB or grey picture."""


@dataclass(frozen=True)
class GivenPictures:
    """Pictures in the order in which they were given.

    Attributes:
        named: path, empty in memory, and picture; of an iterator they are taken as they are read.
        count: how many there are; None where an iterator has at least `FEW`, and nobody knows how many more.
        in_memory: whether some are decoded pictures, which take more than files on their way to a worker.
    """

    named: Iterable[tuple[str, Picture]]
    count: int | None
    in_memory: bool

    def usual_workers(self) -> int:
        """Processes that decode, where nobody said how many."""
        few = self.count is not None and self.count < FEW
        return 0 if few else min(usable_cores(), 16)


@dataclass(frozen=True, slots=True)
class ReadPicture:
    """What reading one picture gives.

    Attributes:
        id: see `identity.image_id`; empty for a picture in memory and for a file that has no bytes to be read.
        pixels: uint8 (H, W, C), or why there are none.
    """

    id: str
    pixels: np.ndarray | UnreadableImageError


def given_pictures(images: Any) -> GivenPictures:
    """One picture or many, of any kind; see `Predictor.answers` for the kinds.

    What has a length is looked through at once, so that a path that does not exist is found before anything is read.

    Raises:
        InputError: a path does not exist, or something is no picture; for iterators, when it is its turn.
    """
    if _is_one(images) or not isinstance(images, Iterable):
        images = [images]
    each = itertools.chain.from_iterable(map(_expanded, images))
    ahead = list(each if isinstance(images, Sized) else itertools.islice(each, FEW))
    in_memory = any(isinstance(picture, Image.Image | np.ndarray) for _, picture in ahead)
    if isinstance(images, Sized) or len(ahead) < FEW:
        return GivenPictures(ahead, len(ahead), in_memory)
    return GivenPictures(itertools.chain(ahead, each), None, in_memory)


def read_pictures(given: GivenPictures, preprocessing: Shown, *, workers: int) -> Iterator[tuple[str, ReadPicture]]:
    """Yield name, id and pixels of every picture, in order; those that cannot be read are results, too.

    At most 32 files a worker, or 4 pictures in memory, are on their way at once.

    Raises:
        ChangedImageError: one that was checked is not the same any more.
        SystemFault: a worker process died.
    """
    names: deque[str] = deque()

    def sendable() -> Iterator[Any]:
        for name, picture in given.named:
            names.append(name)
            yield _sendable(picture)

    read = functools.partial(_read, preprocessing)
    for each in map_in_workers(read, sendable(), workers=workers, chunk=1 if given.in_memory else 8):
        yield names.popleft(), each


def pixels_of_one(image: Any, preprocessing: Shown) -> np.ndarray:
    """The pixels (H, W, C) of one picture of any kind, decoded in this thread.

    Raises:
        UnreadableImageError: it cannot be read.
        InputError: it is none, or several.
    """
    named = list(given_pictures(image).named)
    if len(named) != 1:
        raise InputError(f"{len(named)} images were given, one was expected", hint="name one: a file, or (file, frame)")
    found = _read(preprocessing, _sendable(named[0][1])).pixels
    if isinstance(found, UnreadableImageError):
        raise found
    return found


def refuse_other_pixels(pixels: Any, preprocessing: Preprocessing) -> None:
    """Refuse what is not a stack of pixels as `pixels_of_one` gives them: uint8 (B, H, W, C).

    Raises:
        InputError: it is something else; it is said what.
    """
    size = (preprocessing.height, preprocessing.width, preprocessing.channels)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != size:
        kind = f"{getattr(pixels, 'dtype', type(pixels).__name__)} {tuple(getattr(pixels, 'shape', ()))}"
        raise InputError(
            f"pixels are {kind}, an array uint8 (B, {size[0]}, {size[1]}, {size[2]}) was expected",
            hint="make them with the predictor's own `pixels`, and stack them",
        )


def _is_one(images: Any) -> bool:
    kinds = str | bytes | bytearray | memoryview | os.PathLike | np.ndarray | Image.Image
    return isinstance(images, kinds) or _is_place(images)


def _is_place(image: Any) -> bool:
    if isinstance(image, CheckedPlace):
        return True
    plain = type(image) is tuple and len(image) == 2
    return plain and isinstance(image[0], str | os.PathLike) and isinstance(image[1], int)


def _expanded(image: Any) -> list[tuple[str, Picture]]:
    if isinstance(image, CheckedPlace):
        return [(image.path, image)]
    if _is_place(image):
        path = os.fspath(image[0])
        return [(path, (path, image[1]))]
    if isinstance(image, str | os.PathLike):
        return [(path, place) for path in image_paths([os.fspath(image)]) for place in places_in(path)]
    if isinstance(image, bytes | bytearray | memoryview):
        return [("", bytes(image))]
    if isinstance(image, np.ndarray):
        _refuse_other_arrays(image)
        return [("", image)]
    if isinstance(image, Image.Image):
        return [("", image)]
    raise InputError(
        f"an image of type {type(image).__name__} is not understood",
        hint="give a path, the bytes of a file, a Pillow image or a uint8 array (H, W) or (H, W, 3)",
    )


def _refuse_other_arrays(array: np.ndarray) -> None:
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[2] in (3, 4)
    if not array.size or array.dtype != np.uint8 or not (grey or colour):
        raise InputError(
            f"an array of {array.dtype} with shape {array.shape} is no picture",
            hint="give uint8 with shape (H, W), (H, W, 3) or (H, W, 4), values 0-255",
        )


def _sendable(picture: Picture) -> AnyPlace | bytes | Image.Image | UnreadableImageError:
    """What a worker can be sent: a picture that was opened, but cannot be loaded, would fail on the way."""
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture)
    if isinstance(picture, Image.Image):
        try:
            with quiet(module=r"PIL\."):
                picture.load()
        except PILLOW_ERRORS as error:
            told = str(error) or type(error).__name__
            return UnreadableImageError(f"{_NAMELESS}: cannot be loaded: {told}", hint="open its file again")
    return picture


def _read(preprocessing: Shown, picture: AnyPlace | bytes | Image.Image | UnreadableImageError) -> ReadPicture:
    identity = ""
    try:
        if isinstance(picture, UnreadableImageError):
            return ReadPicture("", picture)
        if isinstance(picture, Image.Image):
            return ReadPicture("", preprocessing.pixels(upright(picture, tone=preprocessing.tone)))
        content, identity, name, frame = _content(picture)
        image = decoded_image(content, name=name, frame=frame, tone=preprocessing.tone)
        return ReadPicture(identity, preprocessing.pixels(image))
    except UnreadableImageError as error:
        return ReadPicture(identity, error)


def _content(picture: AnyPlace | bytes) -> tuple[bytes, str, str, int]:
    """The bytes of a file, the image's id, what errors call it, and the frame that is meant."""
    if isinstance(picture, CheckedPlace):
        content = content_of(picture)
        return content, image_id(content, picture.frame), picture.path, picture.frame
    if not isinstance(picture, bytes):
        content, _, identity = identified_content(*picture)
        return content, identity, *picture
    if not picture:
        raise UnreadableImageError(f"{_NAMELESS}: is empty (0 bytes)", hint="send the file again")
    return picture, image_id(picture), _NAMELESS, 0
