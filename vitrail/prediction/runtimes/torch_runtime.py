"""PyTorch as a runtime: several precisions and kernels, none of which leaves a switch behind."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.fused_attention import write_out_attention
from vitrail.models.inputs import Inputs
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Forward, Readout, in_evaluation


@dataclass(frozen=True)
class TorchRuntime:
    """PyTorch, see `Runtime`. How many cores a call takes is up to torch's own `set_num_threads`, not to `callers`.

    Attributes:
        name: what it is called.
        precision: `float32`; `autocast` (weights stay float32, matrix products in bfloat16); `bfloat16` (all of it).
        plain_attention: whether attention is written out instead of fused; on processors whose fused kernel is slow
            in bfloat16 that is faster.
        compiled: whether `torch.compile` makes kernels for the model. It needs a C++ compiler.
    """

    name: str
    precision: Literal["float32", "autocast", "bfloat16"] = "float32"
    plain_attention: bool = False
    compiled: bool = False
    library: str = "torch"

    @property
    def exact(self) -> bool:
        """Whether it computes in float32."""
        return self.precision == "float32"

    @contextlib.contextmanager
    def applied(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        *,
        readout: Readout = FEATURES_AND_LOGITS,
        callers: int = 1,
    ) -> Iterator[Forward]:
        """A function from pixels to what `readout` reads, for any number of threads; the model is left as it was."""
        normalise = Normalise(preprocessing, device)
        with in_evaluation(model, device):
            read = readout(self._bent(model))
            read = torch.compile(read, dynamic=True) if self.compiled else read

            def forward(given: Inputs) -> tuple[Tensor, ...]:
                # Made anew for every call: it remembers what it replaced, and several threads may be in here.
                autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "autocast")
                with torch.inference_mode(), autocast:
                    batch = normalise.inputs(given)
                    batch = batch.bfloat16() if self.precision == "bfloat16" else batch
                    return tuple(each.float().cpu() for each in read(batch))

            yield forward

    def _bent(self, model: nn.Module) -> nn.Module:
        """The model, or a copy of it where something in it must change."""
        if self.precision != "bfloat16" and not self.plain_attention:
            return model
        runner = copy.deepcopy(model)
        if self.precision == "bfloat16":
            runner = runner.bfloat16()
        if self.plain_attention:
            write_out_attention(runner)
        return runner


EXACT = TorchRuntime("torch float32")
"""The reference: what a package's figures are measured with, and what predictions use unless asked otherwise."""

EAGER = (
    EXACT,
    TorchRuntime("torch bfloat16 autocast", "autocast"),
    TorchRuntime("torch bfloat16", "bfloat16"),
    TorchRuntime("torch bfloat16 plain attention", "bfloat16", plain_attention=True),
)
"""The ways that need no preparation."""

COMPILED = TorchRuntime("torch float32 compiled", compiled=True)
"""Used only where it is asked for by name: it takes a C++ compiler, and a minute before its first answer."""
