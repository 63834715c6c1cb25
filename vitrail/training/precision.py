"""Which arithmetic a training step uses on this machine, chosen by measuring steps on the user's own images."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class TrainingPrecision:
    """One way to compute forward and backward; weights, gradients and the optimiser are float32 in all of them.

    Attributes:
        name: what it is called in journals and reports.
        autocast: whether matrix products are computed in bfloat16.
        plain_attention: whether attention is written out instead of fused, which is faster where the fused kernel is
            slow in bfloat16.
    """

    name: str
    autocast: bool = False
    plain_attention: bool = False

    @contextlib.contextmanager
    def applied(self, model: nn.Module, device: torch.device) -> Iterator[None]:
        """In this block `model` computes in this way; afterwards it is as it was."""
        modules: list[Any] = [module for module in model.modules() if getattr(module, "fused_attn", False)]
        switched = modules if self.plain_attention else []
        for module in switched:
            module.fused_attn = False
        try:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.autocast):
                yield
        finally:
            for module in switched:
                module.fused_attn = True


FLOAT32 = TrainingPrecision("float32")
BFLOAT16 = TrainingPrecision("bfloat16 autocast", autocast=True)
CANDIDATES = (FLOAT32, BFLOAT16, TrainingPrecision("bfloat16 autocast, plain attention", True, True))

ASKED = {"float32": (FLOAT32,), "bfloat16": (BFLOAT16,), "auto": CANDIDATES}
"""What is tried, by the setting `training_precision`."""

LEAST_COSINE = 0.98
"""Least cosine between a candidate's gradient and the float32 one for it to be used."""

ROUNDS = 2


@dataclass(frozen=True)
class StepTrial:
    """What was measured of one candidate: seconds for forward and backward of the sample, and the agreement of its
    gradient with that of float32 (cosine)."""

    precision: TrainingPrecision
    seconds: float
    agreement: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for journals and reports."""
        return {
            "precision": self.precision.name,
            "seconds": round(self.seconds, 4),
            "gradient_cosine": round(self.agreement, 5),
        }


def measure_steps(
    model: nn.Module,
    loss_of: Callable[[TrainingPrecision], Float[Tensor, ""]],
    device: torch.device,
    *,
    candidates: tuple[TrainingPrecision, ...] = CANDIDATES,
) -> list[StepTrial]:
    """Time forward and backward of `loss_of` in every candidate, taking turns, and compare gradients.

    The model is left as it was: no weight changes and no gradient stays.

    Args:
        model: in the mode, and with the layers frozen, that are to be measured.
        loss_of: computes the loss of a few of the user's images, in the precision it is given.
        device: where the model is.
        candidates: the first one is the reference of the agreement.
    """
    best = [float("inf")] * len(candidates)
    gradients: list[Tensor] = []
    for turn in range(ROUNDS + 1):  # the first turn warms up and gives the gradients
        for index, candidate in enumerate(candidates):
            started = time.perf_counter()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                loss = loss_of(candidate)
            loss.backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:
                best[index] = min(best[index], time.perf_counter() - started)
            else:
                gradients.append(_flat_gradient(model))
            model.zero_grad(set_to_none=True)
    return [
        StepTrial(candidate, seconds, _cosine(gradient, gradients[0]))
        for candidate, seconds, gradient in zip(candidates, best, gradients, strict=True)
    ]


def fastest_step(trials: list[StepTrial]) -> StepTrial:
    """The fastest trial whose gradient agrees with the first one's; the first one when no other does."""
    agreeing = [trial for trial in trials[1:] if trial.agreement >= LEAST_COSINE]
    return min((trials[0], *agreeing), key=lambda trial: trial.seconds)


def reason_for(best: StepTrial, trials: list[StepTrial]) -> str:
    """Why steps are computed in this precision, in words; the first trial is the reference."""
    if best is trials[0]:
        return best.precision.name
    return (
        f"{best.precision.name}: {trials[0].seconds / best.seconds:.1f} times as fast as float32 here, gradients agree "
        f"(cosine {best.agreement:.3f})"
    )


def named_precision(name: str) -> TrainingPrecision:
    """The candidate with this name, as a journal recorded it."""
    return next(each for each in CANDIDATES if each.name == name)


def _flat_gradient(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten().double().cpu() for p in model.parameters() if p.grad is not None])


def _cosine(one: Tensor, other: Tensor) -> float:
    cosine = float(nn.functional.cosine_similarity(one, other, dim=0))
    return cosine if torch.isfinite(torch.tensor(cosine)) else -1.0
