"""How a model is run on this machine: which precision and which attention kernel, chosen by measuring.

The choice is made on the user's own images for about a second, is an ordinary value that can be stored and
repeated, and leaves no switch behind: neither in the model nor in PyTorch.
"""

import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.heads import features_and_logits

Readout = Callable[[nn.Module], Callable[[Tensor], tuple[Tensor, ...]]]
"""What is wanted of a model: from the model to a function that takes its input and gives what is wanted."""

Forward = Callable[[np.ndarray | Tensor], tuple[Tensor, ...]]
"""Pixels (B, H, W, C) uint8 or an inner state (B, …) in; what the readout gives, float32, on the processor, out."""


def features_and_logits_of(model: nn.Module) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The usual readout: pooled features (B, D) and logits (B, K)."""
    return lambda batch: features_and_logits(model, batch)


@dataclass(frozen=True)
class Execution:
    """One way to run a model without gradients.

    Attributes:
        name: what it is called in journals and reports.
        precision: `float32`; `autocast` (weights stay float32, matrix products in bfloat16); `bfloat16` (all of it).
        plain_attention: whether attention is written out instead of fused; on processors whose fused kernel is slow
            in bfloat16 that is faster.
    """

    name: str
    precision: str = "float32"
    plain_attention: bool = False

    @contextlib.contextmanager
    def applied(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        *,
        readout: Readout = features_and_logits_of,
    ) -> Iterator[Forward]:
        """A function from pixels to what `readout` reads, for any number of threads; the model is left as it was."""
        runner = copy.deepcopy(model) if self.precision == "bfloat16" or self.plain_attention else model
        was_training, came_from = model.training, next(model.parameters()).device
        runner = runner.to(device).eval()
        if self.precision == "bfloat16":
            runner = runner.bfloat16()
        if self.plain_attention:
            for module in runner.modules():
                if hasattr(module, "fused_attn"):
                    module.fused_attn = False  # type: ignore[assignment]
        normalise, read = Normalise(preprocessing, device), readout(runner)

        def forward(given: np.ndarray | Tensor) -> tuple[Tensor, ...]:
            # Made anew for every call: it remembers what it replaced, and several threads may be in here.
            autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "autocast")
            with torch.inference_mode(), autocast:
                batch = normalise(given) if isinstance(given, np.ndarray) else given.to(device).float()
                batch = batch.bfloat16() if self.precision == "bfloat16" else batch
                return tuple(each.float().cpu() for each in read(batch))

        try:
            yield forward
        finally:
            model.to(came_from).train(was_training)


EXACT = Execution("float32")
"""The reference: what a package's figures are measured with and what predictions use."""

CANDIDATES = (
    EXACT,
    Execution("bfloat16 autocast", "autocast"),
    Execution("bfloat16", "bfloat16"),
    Execution("bfloat16, plain attention", "bfloat16", plain_attention=True),
)

TOLERANCE = 0.999
"""Least cosine between a candidate's features and the exact ones for it to be used."""


@dataclass(frozen=True)
class Trial:
    """What was measured of one candidate: images per second, and the least cosine to the exact features."""

    execution: Execution
    images_per_second: float
    agreement: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for journals and reports."""
        return {
            "execution": self.execution.name,
            "images_per_second": round(self.images_per_second, 1),
            "cosine_to_float32": round(self.agreement, 6),
        }


def measure_executions(
    model: nn.Module,
    preprocessing: Preprocessing,
    pixels: UInt8[np.ndarray, "B H W C"],
    *,
    device: torch.device,
    seconds: float = 0.4,
) -> list[Trial]:
    """Try every candidate on some of the user's own images, taking turns, and keep its best time and its agreement.

    Args:
        pixels: a batch; fewer of its images are used when the model is so large that time would run out.
        seconds: about how long it may take altogether.
    """
    with contextlib.ExitStack() as stack:
        forwards = [stack.enter_context(each.applied(model, preprocessing, device)) for each in CANDIDATES]
        forwards[0](pixels[:1])  # the first call of all is no measure of the next
        started = time.perf_counter()
        forwards[0](pixels[:1])
        single = time.perf_counter() - started
        count = int(np.clip(seconds / (2 * len(CANDIDATES) * single), 1, len(pixels)))
        sample = pixels[:count]
        features = [forward(sample)[0] for forward in forwards]
        best = [float("inf")] * len(forwards)
        deadline = time.perf_counter() + seconds
        for _ in range(5):
            for index, forward in enumerate(forwards):
                started = time.perf_counter()
                forward(sample)
                best[index] = min(best[index], time.perf_counter() - started)
            if time.perf_counter() > deadline:
                break
    return [
        Trial(execution, count / seconds_taken, _least_cosine(feature, features[0]))
        for execution, seconds_taken, feature in zip(CANDIDATES, best, features, strict=True)
    ]


def fastest(trials: list[Trial], *, tolerance: float = TOLERANCE) -> Trial:
    """The fastest trial that agrees with the exact one; the exact one when no other does."""
    return max((trial for trial in trials if trial.agreement >= tolerance), key=lambda trial: trial.images_per_second)


def named_execution(name: str) -> Execution:
    """The candidate with this name, as a journal recorded it."""
    return next(each for each in CANDIDATES if each.name == name)


class Normalise:
    """Pixels 0-255 in (B, H, W, C) to the model's input (B, C, H, W), in the order of operations timm uses."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self.device = device
        self.mean = torch.tensor(preprocessing.mean, dtype=torch.float32, device=device).view(-1, 1, 1)
        self.std = torch.tensor(preprocessing.std, dtype=torch.float32, device=device).view(-1, 1, 1)

    def __call__(self, pixels: UInt8[np.ndarray, "B H W C"]) -> Float[Tensor, "B C H W"]:
        """The model's input, on the device."""
        batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(0, 3, 1, 2).contiguous()
        return batch.float().div_(255).sub_(self.mean).div_(self.std)


def _least_cosine(features: Float[Tensor, "B D"], exact: Float[Tensor, "B D"]) -> float:
    cosine = torch.nn.functional.cosine_similarity(features, exact)
    return float(cosine.min()) if torch.isfinite(cosine).all() else -1.0
