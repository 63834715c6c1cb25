"""From rows to batches of pixels: decoded in worker processes, always in the order of the rows."""

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.checked_files import opened_place
from vitrail.data.columns import AnyPlace, Place
from vitrail.data.file_contents import identified_content
from vitrail.data.identity import KnownImages
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.reading import decoded_image
from vitrail.data.tone import Tone
from vitrail.data.workers import map_in_workers


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
    places: Iterable[AnyPlace], preprocessing: Preprocessing, *, workers: int
) -> Iterator[np.ndarray | UnreadableImageError]:
    """Yield, for every image in order, its uint8 pixels (H, W, C) or the error that says why there are none."""
    return map_in_workers(functools.partial(_decode_or_fault, preprocessing), places, workers=workers, chunk=8)


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


def _decode(preprocessing: Preprocessing, place: AnyPlace) -> np.ndarray:
    return preprocessing.pixels(_seen(place, preprocessing.tone))


def _seen(place: AnyPlace, tone: Tone) -> Image.Image:
    """By itself, so that nothing of the opened file is in memory any more while the picture is resized."""
    with opened_place(place) as picture:
        return picture.seen(tone)


def _decode_or_fault(preprocessing: Preprocessing, place: AnyPlace) -> np.ndarray | UnreadableImageError:
    try:
        return _decode(preprocessing, place)
    except UnreadableImageError as error:
        return error


def _identified(preprocessing: Preprocessing, known: Path, place: Place) -> IdentifiedImage:
    path, frame = place
    identity = ""
    try:
        content, _, identity = identified_content(path, frame)
        if identity in KnownImages(known).ids(place):
            return IdentifiedImage(identity)
        picture = decoded_image(content, name=path, frame=frame, tone=preprocessing.tone)
        return IdentifiedImage(identity, preprocessing.pixels(picture))
    except UnreadableImageError as error:
        return IdentifiedImage(identity, fault=error.message)
