"""From rows to batches of pixels: decoded in worker processes, always in the order of the rows."""

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.quiet import quiet
from vitrail.data.checked_files import content_of
from vitrail.data.columns import AnyPlace, Place
from vitrail.data.file_contents import file_content
from vitrail.data.identity import KnownImages, image_id
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.readers.photographs.faults import PILLOW_ERRORS
from vitrail.data.reading import decoded_image, upright
from vitrail.data.workers import map_in_workers

Picture = AnyPlace | Image.Image
"""An image in a file, one that was checked there, or one in memory."""


def pixel_batches(
    places: Iterable[AnyPlace], preprocessing: Preprocessing, *, batch_size: int, workers: int
) -> Iterator[np.ndarray]:
    """Yield uint8 arrays (B, H, W, C), the last one possibly smaller; decoding starts with the call.

    The result does not depend on `workers`, only the time does.

    Raises:
        UnreadableImageError: an image cannot be decoded; the message names it.
        ChangedImageError: one that was checked is not the same any more.
        SystemFault: a worker process died.
    """
    pixels = map_in_workers(functools.partial(_decode, preprocessing), places, workers=workers, chunk=8)
    return _stacked(pixels, batch_size)


def pixels_or_faults(
    pictures: Iterable[Picture], preprocessing: Preprocessing, *, workers: int
) -> Iterator[np.ndarray | UnreadableImageError]:
    """Yield, for every picture in order, its uint8 pixels (H, W, C) or the error that says why there are none."""
    decode = functools.partial(_decode_or_fault, preprocessing)
    return map_in_workers(decode, map(_sendable, pictures), workers=workers, chunk=8)


@dataclass(frozen=True, slots=True)
class IdentifiedImage:
    """What one reading of an image gives.

    Attributes:
        id: see `identity.image_id`; empty when the file has no bytes to be read.
        pixels: uint8 (H, W, C); None where the image cannot be read or was known already.
        fault: why it cannot be read, beginning with its path.
    """

    id: str
    pixels: np.ndarray | None = None
    fault: str | None = None


def identified_pixels(
    places: Iterable[Place], preprocessing: Preprocessing, *, known: Path, workers: int
) -> Iterator[IdentifiedImage]:
    """Yield id and pixels of every image, in order, from one reading of its file; faults are results too.

    Args:
        places: where the images lie; read as results are taken.
        preprocessing: from picture to pixels.
        known: file of `KnownImages`; images in it are identified and not decoded, unless their content is another.
        workers: processes that decode.

    Raises:
        SystemFault: a worker process died.
    """
    return map_in_workers(functools.partial(_identified, preprocessing, known), places, workers=workers, chunk=8)


def _stacked(pictures: Iterator[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    while batch := list(itertools.islice(pictures, batch_size)):
        yield np.stack(batch)


def _decode(preprocessing: Preprocessing, picture: Picture) -> np.ndarray:
    if isinstance(picture, Image.Image):
        return preprocessing.pixels(upright(picture, tone=preprocessing.tone))
    content = content_of(picture)
    return preprocessing.pixels(decoded_image(content, name=picture[0], frame=picture[1], tone=preprocessing.tone))


def _sendable(picture: Picture) -> Picture | UnreadableImageError:
    """What a worker can be sent: a picture that was opened, but cannot be loaded, would fail on the way."""
    if isinstance(picture, Image.Image):
        try:
            with quiet(module=r"PIL\."):
                picture.load()
        except PILLOW_ERRORS as error:
            told = str(error) or type(error).__name__
            return UnreadableImageError(f"image in memory: cannot be loaded: {told}", hint="open its file again")
    return picture


def _decode_or_fault(
    preprocessing: Preprocessing, picture: Picture | UnreadableImageError
) -> np.ndarray | UnreadableImageError:
    if isinstance(picture, UnreadableImageError):
        return picture
    try:
        return _decode(preprocessing, picture)
    except UnreadableImageError as error:
        return error


def _identified(preprocessing: Preprocessing, known: Path, place: Place) -> IdentifiedImage:
    path, frame = place
    identity = ""
    try:
        content = file_content(path)
        identity = image_id(content, frame)
        if identity in KnownImages(known).ids(place):
            return IdentifiedImage(identity)
        picture = decoded_image(content, name=path, frame=frame, tone=preprocessing.tone)
        return IdentifiedImage(identity, preprocessing.pixels(picture))
    except UnreadableImageError as error:
        return IdentifiedImage(identity, fault=error.message)
