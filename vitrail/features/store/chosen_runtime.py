"""How the model is run for a store: as the store was begun, as asked for, or as suits machine and images."""

import numpy as np
from jaxtyping import UInt8

from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.choosing import choose_runtime
from vitrail.prediction.runtimes.known import candidates, named_runtime, still_installed
from vitrail.prediction.runtimes.runtime import Readout, Runtime, Workload


def chosen_runtime(
    asked: str,
    before: str | None,
    ready: ReadyModel,
    readout: Readout,
    sample: UInt8[np.ndarray, "B H W C"] | None,
    *,
    images: int,
) -> tuple[Runtime, str]:
    """The runtime, and in words why it is that one.

    Args:
        asked: `auto`, a library or a full name.
        before: the name of the one that the store was begun with, if it was.
        ready: the model.
        readout: what is wanted of it.
        sample: pixels to compare on; needed for a new store.
        images: how many there are.

    Raises:
        InputError: there is no such runtime, or it disagrees with torch in float32.
        SystemFault: it is not installed.
    """
    if before is not None and asked in ("auto", named_runtime(before).library):
        return still_installed(before, thing="the store"), f"{before}, as the store was begun with"
    if before is not None:  # the store will say that it is another one
        return candidates(asked, exact=False, device=ready.device)[0], f"{asked}, as asked for"
    assert sample is not None
    workload = Workload(ready.model, ready.preprocessing, ready.device, sample, readout)
    choice = choose_runtime(workload, asked=asked, images=images, exact=False)
    return choice.runtime, choice.reason
