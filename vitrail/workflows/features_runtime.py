"""How the model is run for a store: as the store was begun, as asked for, or the fastest that agrees with float32."""

import itertools

import numpy as np

from vitrail.basics.errors import InputError, UnreadableImageError
from vitrail.data.image_list import ImageList
from vitrail.data.loader import pixels_or_faults
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.feature_pass import FrozenModel
from vitrail.prediction.runtimes.choosing import choose_runtime
from vitrail.prediction.runtimes.known import candidates, named_runtime, still_installed
from vitrail.prediction.runtimes.runtime import Readout, Runtime, Workload

_MEASURED = 8


def chosen_runtime(
    asked: str, before: str | None, frozen: FrozenModel, readout: Readout, sample: np.ndarray | None, *, images: int
) -> tuple[Runtime, str]:
    """The runtime, and in words why it is that one.

    Args:
        asked: `auto`, a library or a full name.
        before: the name of the one that the store was begun with, if it was.
        frozen: the model.
        readout: what is wanted of it.
        sample: pixels (B, H, W, C) to measure on; needed for a new store.
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
    workload = Workload(frozen.model, frozen.preprocessing, frozen.device, sample[:_MEASURED], readout)
    choice = choose_runtime(workload, asked=asked, images=images, exact=False)
    return choice.runtime, choice.reason


def first_pixels(images: ImageList, preprocessing: Preprocessing, count: int) -> np.ndarray:
    """Pixels (B, H, W, C) of the first images that can be read, `count` of them where so many are found soon.

    Raises:
        InputError: not one of the images can be read.
    """
    found, reason = [], ""
    for looked_at, each in enumerate(pixels_or_faults(images.places(), preprocessing, workers=0), 1):
        if isinstance(each, UnreadableImageError):
            reason = reason or each.message
        else:
            found.append(each)
        if len(found) == count or (found and looked_at >= 4 * count):
            break
    if not found:
        raise InputError(
            f"none of the {len(images):,} images can be read; the first: {reason}",
            hint="check the paths; those in a table are relative to the table's own folder",
        )
    return np.stack(list(itertools.islice(found, count)))
