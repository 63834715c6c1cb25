"""How fast runtimes are here, and how near they come to torch in float32, on the user's own images."""

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from vitrail.basics.errors import InputError, SystemFault, VitrailError
from vitrail.prediction.runtimes.agreement import Agreement, agreement_of
from vitrail.prediction.runtimes.runtime import Forward, Runtime, Workload
from vitrail.prediction.runtimes.torch_runtime import EXACT

ROUNDS = 5


@dataclass(frozen=True)
class Trial:
    """What was measured of one runtime.

    Attributes:
        runtime: which.
        images_per_second: once it runs; 0 where it did not.
        agreement: with torch in float32; None where it did not run.
        preparation_seconds: until its first answer, converting the model included where that was not done before.
        fault: why it did not run, or was refused.
    """

    runtime: Runtime
    images_per_second: float
    agreement: Agreement | None
    preparation_seconds: float = 0.0
    fault: VitrailError | None = None

    @property
    def agrees(self) -> bool:
        """Whether it may be used."""
        return self.agreement is not None and self.agreement.suffices(exact=self.runtime.exact)

    def seconds(self, images: int) -> float:
        """What so many images take, preparation included."""
        return self.preparation_seconds + images / self.images_per_second if self.images_per_second else math.inf

    def as_json(self) -> dict[str, Any]:
        """Plain values for journals and reports."""
        found = self.agreement
        return {
            "runtime": self.runtime.name,
            "images_per_second": round(self.images_per_second, 1),
            "cosine_to_float32": found and round(found.cosine, 6),
            "relative_error": found.relative_error if found and math.isfinite(found.relative_error) else None,
            "preparation_seconds": round(self.preparation_seconds, 2),
            "fault": self.fault and self.fault.message,
        }


def measure_runtimes(workload: Workload, runtimes: Sequence[Runtime], *, seconds: float = 0.4) -> list[Trial]:
    """Try every runtime, taking turns, and keep its best time and its agreement; one that cannot run is noted.

    Args:
        workload: fewer of its images are used when the model is so large that time would run out.
        runtimes: the first is the reference of the agreement.
        seconds: about how long it may take altogether, without preparation.
    """
    count = int(np.clip(seconds / (2 * len(runtimes) * _seconds_per_image(workload)), 1, len(workload.pixels)))
    sample = workload.pixels[:count]
    with contextlib.ExitStack() as stack:
        tried = [_Tried(runtime) for runtime in runtimes]
        for each in tried:
            each.begin(stack, workload, sample)
        deadline = time.perf_counter() + seconds
        for _ in range(ROUNDS):
            for each in tried:
                each.again(sample)
            if time.perf_counter() > deadline:
                break
    return [each.trial(count, tried[0].answers, features=workload.readout.features) for each in tried]


def _seconds_per_image(workload: Workload) -> float:
    """What a single image takes in torch in float32."""
    with workload.applied(EXACT) as forward:
        forward(workload.pixels[:1])  # the first call of all is no measure of the next
        started = time.perf_counter()
        forward(workload.pixels[:1])
        return time.perf_counter() - started


class _Tried:
    """A runtime while it is measured."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._forward: Forward | None = None
        self._preparation, self._best = 0.0, math.inf
        self._fault: VitrailError | None = None
        self.answers: tuple[Tensor, ...] = ()

    def begin(self, stack: contextlib.ExitStack, workload: Workload, sample: np.ndarray) -> None:
        started = time.perf_counter()
        try:
            forward = stack.enter_context(workload.applied(self._runtime))
            self.answers = forward(sample)
        except (InputError, SystemFault) as fault:
            self._fault = fault
            return
        self._forward, self._preparation = forward, time.perf_counter() - started

    def again(self, sample: np.ndarray) -> None:
        if self._forward is not None:
            started = time.perf_counter()
            self._forward(sample)
            self._best = min(self._best, time.perf_counter() - started)

    def trial(self, count: int, exact: tuple[Tensor, ...], *, features: int | None) -> Trial:
        if self._fault is not None:
            return Trial(self._runtime, 0.0, None, fault=self._fault)
        found = agreement_of(self.answers, exact, features=features)
        return Trial(self._runtime, count / self._best, found, max(0.0, self._preparation - self._best))
