"""How the model is run for a store: as the store was begun, as asked for, or the fastest that agrees with float32."""

import itertools

import numpy as np

from vitrail.basics.errors import InputError, UnreadableImageError, did_you_mean
from vitrail.data.image_list import ImageList
from vitrail.data.loader import pixels_or_faults
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.feature_pass import FrozenModel
from vitrail.prediction.execution import CANDIDATES, Execution, fastest, measure_executions

_MEASURED = 8


def chosen_execution(
    asked: str, before: str | None, frozen: FrozenModel, sample: np.ndarray | None
) -> tuple[Execution, str]:
    """The execution, and in words why it is that one.

    Args:
        asked: `auto` or a name.
        before: the name of the one that the store was begun with, if it was.
        frozen: the model.
        sample: pixels (B, H, W, C) to measure on; needed for a new store.

    Raises:
        InputError: there is no execution of that name.
    """
    if asked != "auto":
        return _named(asked), f"{asked}, as asked for"
    if before is not None:
        return _named(before), f"{before}, as the store was begun with"
    assert sample is not None
    trials = measure_executions(
        frozen.model, frozen.preprocessing, sample[:_MEASURED], device=frozen.device
    )  # fmt: skip
    best, exact = fastest(trials), trials[0]
    if best.execution == exact.execution:
        return best.execution, f"{exact.execution.name}: the fastest here ({exact.images_per_second:.0f} images/s)"
    times = best.images_per_second / exact.images_per_second
    return best.execution, (
        f"{best.execution.name}: {times:.1f} times as fast as float32 here ({best.images_per_second:.0f} against "
        f"{exact.images_per_second:.0f} images/s), pooled features agree (cosine {best.agreement:.4f} at least)"
    )


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


def _named(name: str) -> Execution:
    known = {each.name: each for each in CANDIDATES}
    if name not in known:
        raise InputError(f"there is no runtime {name!r}", hint=did_you_mean(name, known) or f"auto, {', '.join(known)}")
    return known[name]
