"""Which arithmetic a training step uses on this machine: by its hardware, and by agreement on the user's own images.

Steps are timed to tell how long training will take; the time decides nothing about their arithmetic.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.devices import computes_in_bfloat16
from vitrail.models.fused_attention import written_out_attention
from vitrail.models.heads import features_and_logits
from vitrail.prediction.runtimes.agreement import Agreement, agreement_of
from vitrail.prediction.runtimes.runtime import in_evaluation
from vitrail.training.loss_scale import LossScale, NoLossScale


@dataclass(frozen=True)
class TrainingPrecision:
    """One way to compute forward and backward; weights, gradients and the optimiser are float32 in all of them.

    Attributes:
        name: what it is called in journals and reports.
        products: in which numbers matrix products are computed.
        plain_attention: whether attention is written out instead of fused, which is faster where the fused kernel is
            slow in bfloat16.
    """

    name: str
    products: Literal["float32", "bfloat16", "float16"] = "float32"
    plain_attention: bool = False

    @contextlib.contextmanager
    def applied(self, model: nn.Module, device: torch.device) -> Iterator[None]:
        """In this block `model` computes in this way; afterwards it is as it was."""
        attention = written_out_attention(model) if self.plain_attention else contextlib.nullcontext()
        with attention, torch.autocast(device.type, self._dtype, enabled=self.products != "float32"):
            yield

    def loss_scale(self, device: torch.device) -> NoLossScale:
        """By what losses are multiplied, as a run begins."""
        return LossScale(device) if self.products == "float16" else NoLossScale()

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float16 if self.products == "float16" else torch.bfloat16


FLOAT32 = TrainingPrecision("float32")
BFLOAT16 = TrainingPrecision("bfloat16 autocast", "bfloat16")
PLAIN_BFLOAT16 = TrainingPrecision("bfloat16 autocast, plain attention", "bfloat16", True)
FLOAT16 = TrainingPrecision("float16 autocast, scaled loss", "float16")
"""For GPUs that have no bfloat16, and only where it is asked for: its numbers end at 65,504."""
CANDIDATES = (FLOAT32, PLAIN_BFLOAT16, BFLOAT16)
"""What is tried: the exact one, then what is faster on a processor, the fastest first (docs/speed.md)."""


def tried_precisions(
    asked: str, device: torch.device, *, computed_twice: bool = False
) -> tuple[TrainingPrecision, ...]:
    """What is tried on this hardware for a setting `training_precision`: the reference first, then by preference.

    Args:
        asked: the setting.
        device: where steps are computed.
        computed_twice: whether blocks are computed again in the backward pass. There the attention is what the model
            says, and where it was written out for the forward pass the two would not fit each other.

    >>> [each.name for each in tried_precisions("float32", torch.device("cpu"))]
    ['float32']
    """
    if asked in ("bfloat16", "float16"):
        return (BFLOAT16 if asked == "bfloat16" else FLOAT16,)
    if asked == "float32" or not computes_in_bfloat16(device):
        return (FLOAT32,)
    return CANDIDATES if device.type == "cpu" and not computed_twice else (FLOAT32, BFLOAT16)


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
    with _without_dropout(model):
        return _measured(model, loss_of, device, candidates)


@contextlib.contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Which values are dropped depends on the kernel, not on the random state alone: no gradients could be compared."""
    rates = [(module, module.p) for module in model.modules() if isinstance(module, nn.Dropout) and module.p]
    for module, _ in rates:
        module.p = 0.0
    try:
        yield
    finally:
        for module, rate in rates:
            module.p = rate


def _measured(
    model: nn.Module,
    loss_of: Callable[[TrainingPrecision], Float[Tensor, ""]],
    device: torch.device,
    candidates: tuple[TrainingPrecision, ...],
) -> list[StepTrial]:
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


def agreeing_step(trials: list[StepTrial]) -> StepTrial:
    """The first trial behind the reference whose gradient agrees with the reference's; the reference when none does."""
    return next((trial for trial in trials[1:] if trial.agreement >= LEAST_COSINE), trials[0])


def reason_for(best: StepTrial, trials: list[StepTrial]) -> str:
    """Why steps are computed in this precision, in words; the first trial is the reference."""
    if best is not trials[0]:
        return f"{best.precision.name}, which this machine computes in; gradients agree (cosine {best.agreement:.3f})"
    others = [trial.agreement for trial in trials[1:]]
    return best.precision.name + (f": in bfloat16 gradients differ (cosine {max(others):.3f})" if others else "")


def keeping_apart(
    model: nn.Module, images: Float[Tensor, "B C H W"], candidates: tuple[TrainingPrecision, ...]
) -> tuple[tuple[TrainingPrecision, ...], tuple[Agreement, ...]]:
    """The first candidate, and those others in which pooled features tell the images apart as well as in the first.

    A gradient alone does not show that where images are nearly alike: most of it may be what all of them share.

    Args:
        model: on the device of the images; left as it was.
        images: normalised, a few dozen from everywhere in the data.
        candidates: the reference first.

    Returns:
        Those, and what was found of each of the others, in their order.
    """
    with in_evaluation(model, images.device), torch.inference_mode():
        features = []
        for each in candidates:
            with each.applied(model, images.device):
                features.append(features_and_logits(model, images)[0].float().cpu())
    found = tuple(agreement_of((each,), (features[0],)) for each in features[1:])
    others = (candidate for candidate, each in zip(candidates[1:], found, strict=True) if each.keeps_apart)
    return (candidates[0], *others), found


def named_precision(name: str) -> TrainingPrecision:
    """The candidate with this name, as a journal recorded it."""
    return next(each for each in (*CANDIDATES, FLOAT16) if each.name == name)


def _flat_gradient(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten().double().cpu() for p in model.parameters() if p.grad is not None])


def _cosine(one: Tensor, other: Tensor) -> float:
    cosine = float(nn.functional.cosine_similarity(one, other, dim=0))
    return cosine if torch.isfinite(torch.tensor(cosine)) else -1.0
