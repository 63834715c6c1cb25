"""Pixels of some images from everywhere in a data set, for what is tried out before all of them are read."""

import itertools
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from vitrail.basics.errors import InputError, UnreadableImageError
from vitrail.data.columns import Place, places_of
from vitrail.data.image_list import ImageList
from vitrail.data.loader import pixels_or_faults
from vitrail.data.preprocessing import Preprocessing

_MOST_LOOKED_AT = 128


def spread_pixels(images: ImageList, preprocessing: Preprocessing, count: int) -> UInt8[np.ndarray, "B H W C"]:
    """Pixels of images from everywhere in the list, `count` of them where so many can be read; the first
    ones where hardly any of those can be.

    Raises:
        InputError: not one of the images can be read.
    """
    numbers = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int))
    found, reason = _readable(places_of(images.rows(numbers)), preprocessing, count)
    if not found:
        found, reason = _readable(itertools.islice(images.places(), _MOST_LOOKED_AT), preprocessing, count)
    if not found:
        found, reason = _readable(images.places(), preprocessing, 1)
    if not found:
        raise InputError(
            f"none of the {len(images):,} images can be read; the first: {reason}",
            hint="check the paths; those in a table are relative to the table's own folder",
        )
    return np.stack(found)


def _readable(places: Iterable[Place], preprocessing: Preprocessing, count: int) -> tuple[list[np.ndarray], str]:
    """The first images that can be read, and why the first other one cannot."""
    found: list[np.ndarray] = []
    reason = ""
    for each in pixels_or_faults(places, preprocessing, workers=0):
        if isinstance(each, UnreadableImageError):
            reason = reason or each.message
        else:
            found.append(each)
        if len(found) == count:
            break
    return found, reason
