"""A model that is brought into place once, and then answers any number of threads."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vitrail.basics.errors import PackageError
from vitrail.models.inputs import Pixels
from vitrail.prediction.runtimes.choosing import RuntimeChoice, choose_runtime
from vitrail.prediction.runtimes.known import LIBRARIES
from vitrail.prediction.runtimes.runtime import Forward, Workload


@dataclass(frozen=True)
class PreparedModel:
    """What is made once, and then only read.

    Attributes:
        choice: the runtime, and why.
        forward: from pixels to features and logits.
        turns: so many calls are computed at once; whoever comes later waits.
    """

    choice: RuntimeChoice
    forward: Forward
    turns: threading.Semaphore

    def answered(
        self, pixels: np.ndarray, names: Sequence[str]
    ) -> tuple[Float[np.ndarray, "B D"], Float[np.ndarray, "B K"]]:
        """Pooled features and logits of pixels (B, H, W, C).

        Several calls at once would each start as many threads as there are cores, hold activations of their own, and
        be no sooner done: in torch a call uses all cores by itself.

        Raises:
            PackageError: one of them is not a number; the image is called by its name.
        """
        with self.turns:
            features, logits = (each.numpy() for each in self.forward(Pixels(pixels)))
        finite = np.isfinite(features).all(axis=1) & np.isfinite(logits).all(axis=1)
        if not finite.all():
            name = names[int(np.argmin(finite))] or "an image in memory"
            raise PackageError(
                f"the model's answer to {name} is not a number (NaN or infinity): the package is not usable",
                hint="fit again, or take an earlier package",
            )
        return features, logits


def prepared_model(
    workload: Workload, opened: contextlib.ExitStack, *, asked: str, images: int, callers: int, warm: bool
) -> PreparedModel:
    """Choose a runtime for the workload and bring the model into it.

    Args:
        workload: the model, and pixels on which runtimes are compared.
        opened: holds the runtime until it is closed; nothing is left in it when this fails.
        asked: see `choose_runtime`; other libraries and `auto` compute in float32.
        images: how many are to come.
        callers: how many calls are computed at once.
        warm: whether the pixels are computed once, which converts and compares where that is not done yet.

    Raises:
        InputError: the runtime cannot run this model, or disagrees with torch in float32.
        SystemFault: it is not installed.
    """
    choice = choose_runtime(workload, asked=asked, images=images, exact=asked in ("auto", *LIBRARIES))
    with contextlib.ExitStack() as opening:
        forward = opening.enter_context(workload.applied(choice.runtime, callers=callers))
        if warm:
            forward(Pixels(workload.pixels))
        opened.push(opening.pop_all())
    return PreparedModel(choice, forward, threading.Semaphore(callers))
