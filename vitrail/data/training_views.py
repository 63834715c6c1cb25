"""Batches of random training views: decoded and augmented in worker processes, the same for any number of them."""

import functools
import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vitrail.data.augmentation import REDUCING_GAP, AugmentationSettings, augmented_pixels
from vitrail.data.checked_files import opened_place
from vitrail.data.columns import AnyPlace
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.readers.reader import WHOLE, Size, Wanted
from vitrail.data.workers import map_in_workers

View = tuple[AnyPlace, int]
"""An image in a file, and the seed of what is seen of it."""


def view_batches(
    batches: Iterable[list[View]], preprocessing: Preprocessing, settings: AugmentationSettings, *, workers: int
) -> Iterator[np.ndarray]:
    """Yield one uint8 array (B, H, W, C) for every list of views, in order; decoding starts with the call.

    A view depends on its image, its seed and the settings alone: not on `workers`, its batch or what was seen before.
    Workers read ahead across the borders of batches, and `batches` may be endless: it is read as arrays are taken.

    Args:
        batches: lists of any length, also of different lengths; an empty one gives an array of no pictures.
        preprocessing: the size, channels and interpolation of the views.
        settings: how far a view may differ from its picture.
        workers: number of processes; 0 works in this process.

    Raises:
        UnreadableImageError: an image cannot be decoded; the message names it.
        ChangedImageError: one that was checked is not the same any more.
        SystemFault: a worker process died.
    """
    asked, given = itertools.tee(batches)
    view = functools.partial(_view, preprocessing, settings)
    pictures = map_in_workers(view, itertools.chain.from_iterable(asked), workers=workers, chunk=8)
    shape = preprocessing.height, preprocessing.width, preprocessing.channels
    return (_stacked(itertools.islice(pictures, len(batch)), (len(batch), *shape)) for batch in given)


def _stacked(pictures: Iterator[np.ndarray], shape: tuple[int, int, int, int]) -> UInt8[np.ndarray, "B H W C"]:
    stack = np.empty(shape, dtype=np.uint8)
    for row, picture in zip(stack, pictures, strict=True):
        row[:] = picture
    return stack


def _view(preprocessing: Preprocessing, settings: AugmentationSettings, view: View) -> UInt8[np.ndarray, "H W C"]:
    place, seed = view
    return augmented_pixels(_read(place, preprocessing, settings), preprocessing, settings, seed=seed)


def _read(place: AnyPlace, preprocessing: Preprocessing, settings: AugmentationSettings) -> Image.Image:
    """As `read_image`, but large JPEG files are decoded at 1/2, 1/4 or 1/8 of their size where no crop needs more.

    Twice the pixels of the view remain, in either direction, of the smallest crop that can be drawn.
    """

    def least(size: Size) -> Size | None:
        spare = math.floor(_shortest_side(size, preprocessing, settings) / REDUCING_GAP)
        return (size[0] // spare, size[1] // spare) if spare > 1 else None

    with opened_place(place, wanted=Wanted(least=least) if settings.smallest_crop < 1 else WHOLE) as picture:
        return picture.seen(preprocessing.tone)


def _shortest_side(size: tuple[int, int], preprocessing: Preprocessing, settings: AugmentationSettings) -> float:
    """Sides of the smallest crop that can be drawn, whichever way EXIF turns the picture, in sides of the view."""
    short, long = sorted((preprocessing.height, preprocessing.width))
    area = size[0] * size[1] * settings.smallest_crop
    side = math.sqrt(area / settings.aspect_jitter * short / long)
    return min(side, *size) / long
