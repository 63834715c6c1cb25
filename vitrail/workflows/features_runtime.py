"""How the model is run for a store: as the store was begun, as asked for, or as suits machine and images."""

import itertools
from collections.abc import Iterable

import numpy as np

from vitrail.basics.errors import InputError, UnreadableImageError
from vitrail.data.columns import Place, places_of
from vitrail.data.image_list import ImageList
from vitrail.data.loader import pixels_or_faults
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.choosing import choose_runtime
from vitrail.prediction.runtimes.known import candidates, named_runtime, still_installed
from vitrail.prediction.runtimes.runtime import Readout, Runtime, Workload

_MOST_LOOKED_AT = 128


def chosen_runtime(
    asked: str, before: str | None, frozen: ReadyModel, readout: Readout, sample: np.ndarray | None, *, images: int
) -> tuple[Runtime, str]:
    """The runtime, and in words why it is that one.

    Args:
        asked: `auto`, a library or a full name.
        before: the name of the one that the store was begun with, if it was.
        frozen: the model.
        readout: what is wanted of it.
        sample: pixels (B, H, W, C) to compare on; needed for a new store.
        images: how many there are.

    Raises:
        InputError: there is no such runtime, or it disagrees with torch in float32.
        SystemFault: it is not installed.
    """
    if before is not None and asked in ("auto", named_runtime(before).library):
        return still_installed(before, thing="the store"), f"{before}, as the store was begun with"
    if before is not None:  # the store will say that it is another one
        return candidates(asked, exact=False, device=frozen.device)[0], f"{asked}, as asked for"
    assert sample is not None
    workload = Workload(frozen.model, frozen.preprocessing, frozen.device, sample, readout)
    choice = choose_runtime(workload, asked=asked, images=images, exact=False)
    return choice.runtime, choice.reason


def spread_pixels(images: ImageList, preprocessing: Preprocessing, count: int) -> np.ndarray:
    """Pixels (B, H, W, C) of images from everywhere in the list, `count` of them where so many can be read; the first
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
