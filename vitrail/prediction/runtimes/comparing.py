"""How near runtimes come to torch in float32, on the user's own images. No clock is read: see `choosing`."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vitrail.basics.errors import InputError, SystemFault, VitrailError
from vitrail.basics.quiet import quiet
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.agreement import Agreement, agreement_of
from vitrail.prediction.runtimes.runtime import Runtime, Workload, in_evaluation, without_gradients
from vitrail.prediction.runtimes.torch_runtime import EXACT

COMPARED_IMAGES = 32
"""Images that runtimes are compared on: enough to see how far images lie apart."""
FEWEST_COMPARED = 8
MOST_COMPARED_OPERATIONS = 1e12
"""What comparing may cost in float32, so that large models are compared on fewer images: some ten seconds on two
cores. It is counted, not timed, for another number of images could decide otherwise."""


@dataclass(frozen=True)
class Trial:
    """What was found of one runtime.

    Attributes:
        runtime: which.
        agreement: with torch in float32; None where it did not run.
        fault: why it did not run.
    """

    runtime: Runtime
    agreement: Agreement | None
    fault: VitrailError | None = None

    @property
    def faithful(self) -> bool:
        """Whether it says what float32 says, and keeps apart what float32 keeps apart."""
        found = self.agreement
        return found is not None and found.suffices(exact=self.runtime.exact) and found.keeps_apart

    def as_json(self) -> dict[str, Any]:
        """Plain values for journals and reports."""
        figures = self.agreement.as_json() if self.agreement else {}
        return {"runtime": self.runtime.name, **figures, "fault": self.fault and self.fault.message}


class Comparison:
    """Runtimes beside torch in float32 on the same images, which are computed in float32 once, when first needed."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    @cached_property
    def operations(self) -> float:
        """Floating-point operations of one image; what torch cannot count is left out."""
        load = self._workload
        with (
            in_evaluation(load.model, load.device), without_gradients(load.model), quiet(),
            FlopCounterMode(display=False) as counted,
        ):  # fmt: skip
            load.readout(load.model)(Normalise(load.preprocessing, load.device)(Pixels(load.pixels[:1])))
        return float(counted.get_total_flops())

    @cached_property
    def pixels(self) -> np.ndarray:
        """The images that are compared: fewer of them where the model is large, spread over all there are."""
        affordable = max(FEWEST_COMPARED, int(MOST_COMPARED_OPERATIONS / max(self.operations, 1.0)))
        count = min(affordable, COMPARED_IMAGES, len(self._workload.pixels))
        return self._workload.pixels[np.linspace(0, len(self._workload.pixels) - 1, count).round().astype(int)]

    @cached_property
    def _exact(self) -> tuple[Tensor, ...]:
        with self._workload.applied(EXACT) as forward:
            return forward(Pixels(self.pixels))

    def trial(self, runtime: Runtime) -> Trial:
        """What is found of `runtime`; that it cannot run is one of the answers."""
        try:
            with self._workload.applied(runtime) as forward:
                answers = self._exact if runtime == EXACT else forward(Pixels(self.pixels))
        except (InputError, SystemFault) as fault:
            return Trial(runtime, None, fault)
        return Trial(runtime, agreement_of(answers, self._exact, features=self._workload.readout.features))
