"""What every runtime promises: a model in, a function from pixels to what is wanted of the model out."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.heads import features_and_logits
from vitrail.models.inputs import Inputs

Forward = Callable[[Inputs], tuple[Tensor, ...]]
"""Pixels or an inner state in; what the readout gives, float32, on the processor, out."""


@dataclass(frozen=True)
class Readout:
    """What is wanted of a model.

    Attributes:
        name: tells it from every other readout of the same model; converted models are kept under it.
        read: from the model to a function that takes a batch of its input (or of an inner state) and gives what is
            wanted, one row per image in every tensor.
        features: how many of the results, from the first on, must keep their direction in a faster runtime; None: all.
            Logits need not: where classes are about as likely as each other, they have none.
    """

    name: str
    read: Callable[[nn.Module], Callable[[Tensor], tuple[Tensor, ...]]]
    features: int | None = None

    def __call__(self, model: nn.Module) -> Callable[[Tensor], tuple[Tensor, ...]]:
        """The function that reads `model`."""
        return self.read(model)


FEATURES_AND_LOGITS = Readout(
    "features and logits", lambda model: lambda batch: features_and_logits(model, batch), features=1
)
"""The usual readout: pooled features (B, D) and logits (B, K), in one pass."""


@runtime_checkable
class Runtime(Protocol):
    """One way to run a model without gradients."""

    @property
    def name(self) -> str:
        """What it is called by users, in journals and in reports; its first word is the library's."""

    @property
    def library(self) -> str:
        """`torch`, `openvino` or `onnx`; also the extra that installs it."""

    @property
    def exact(self) -> bool:
        """Whether it computes in float32, so that nothing but the last digits differs from torch in float32."""

    def applied(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        *,
        readout: Readout = FEATURES_AND_LOGITS,
        callers: int = 1,
    ) -> AbstractContextManager[Forward]:
        """A function from pixels to what `readout` reads; the model is left as it was.

        Args:
            model: with the weights it will have as long as the function is used.
            preprocessing: how its input is normalised.
            device: where it is run.
            readout: what is wanted.
            callers: how many threads will call the function at once; the cores are divided among them. More or fewer
                get the same answers, only not as fast.

        Raises:
            SystemFault: the library is not installed, or does not know this machine's processor.
            InputError: it cannot run this model, or not on this device, or it disagrees with torch in float32 on the
                first batch (raised by the function).
        """


@dataclass(frozen=True)
class Workload:
    """What runtimes are measured and compared on.

    Attributes:
        model: what is to be run.
        preprocessing: how its input is normalised.
        device: where it is run.
        pixels: a batch of the user's own images.
        readout: what is wanted of it.
    """

    model: nn.Module
    preprocessing: Preprocessing
    device: torch.device
    pixels: UInt8[np.ndarray, "B H W C"]
    readout: Readout = FEATURES_AND_LOGITS

    def applied(self, runtime: Runtime, *, callers: int = 1) -> AbstractContextManager[Forward]:
        """See `Runtime.applied`."""
        return runtime.applied(self.model, self.preprocessing, self.device, readout=self.readout, callers=callers)


@contextlib.contextmanager
def in_evaluation(model: nn.Module, device: torch.device) -> Iterator[None]:
    """In this block the model is in evaluation mode on `device`; afterwards each of its modules is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    came_from = next(model.parameters()).device
    model.to(device).eval()
    try:
        yield
    finally:
        model.to(came_from)
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def without_gradients(model: nn.Module) -> Iterator[None]:
    """In this block no parameter asks for a gradient.

    `torch.no_grad` alone does not suffice where operations are counted: a view of a parameter (PiT's class token) still
    says that it needs one, and torch 2.15's counter then looks for what would compute it.
    """
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        with torch.no_grad():
            for parameter in asking:
                parameter.requires_grad_(False)
            yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
