"""One optimiser step: forward and backward in parts, one clipped update, nothing read by the host."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from vitrail.models.chain import Chain
from vitrail.prediction.normalise import Normalise
from vitrail.training.objectives.supervised import summed_cross_entropy
from vitrail.training.precision import FLOAT32, TrainingPrecision


@dataclass(frozen=True)
class Batch:
    """The images of one step.

    Attributes:
        inputs: pixels uint8 (B, H, W, C), or states (B, …) at the place `start` of the model's chain.
        start: 0 for pixels.
        labels: class numbers, or every class's share.
        image_weights: how much each image counts.
    """

    inputs: np.ndarray | Tensor
    start: int
    labels: Int[Tensor, "B"] | Float[Tensor, "B K"]
    image_weights: Float[Tensor, "B"]


@dataclass(frozen=True)
class StepRule:
    """What is the same for all steps of a run."""

    normalise: Normalise
    precision: TrainingPrecision
    label_smoothing: float
    clip: float
    device: torch.device


def train_step(
    chain: Chain, optimizer: Optimizer, batch: Batch, rule: StepRule, *, trained_from: int, most_at_once: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Update what stands behind `trained_from` by the gradient of the batch's weighted mean loss.

    The gradient does not depend on `most_at_once`, but for rounding: parts add up, also a smaller last one (batch norms
    that are trained see each part for itself). When the gradient is not finite, or the step fails, nothing changes,
    not even the moving statistics of batch norms.

    Returns:
        The loss, and 1 where the step was skipped for a gradient that is not finite, else 0; both on the device.
    """
    optimizer.zero_grad(set_to_none=True)
    moving = chain.moving_statistics()
    before = [statistic.clone() for statistic in moving]
    try:
        loss = _backward(chain, batch, rule, trained_from=trained_from, most_at_once=most_at_once)
    except (RuntimeError, MemoryError):  # of parts that were done before memory ran out
        for statistic, earlier in zip(moving, before, strict=True):
            statistic.copy_(earlier)
        raise
    skipped = _update(optimizer, loss, rule.clip)
    for statistic, earlier in zip(moving, before, strict=True):
        statistic.copy_(torch.where(skipped.bool(), earlier, statistic))
    return loss, skipped


def _backward(chain: Chain, batch: Batch, rule: StepRule, *, trained_from: int, most_at_once: int) -> Float[Tensor, ""]:
    """The batch's weighted mean loss, its gradient left in the parameters."""
    total_weight = batch.image_weights.sum().to(rule.device)
    loss = torch.zeros((), device=rule.device)
    for part in _parts(batch, most_at_once):
        part_loss = loss_of(chain, part, rule, trained_from=trained_from) / total_weight
        part_loss.backward()
        loss += part_loss.detach()
    return loss


def loss_of(chain: Chain, batch: Batch, rule: StepRule, *, trained_from: int) -> Float[Tensor, ""]:
    """Summed weighted loss of a batch; what stands before `trained_from` is run without gradients."""
    labels, weights = batch.labels.to(rule.device), batch.image_weights.to(rule.device)
    given = batch.inputs
    x = rule.normalise(given) if isinstance(given, np.ndarray) else given.to(rule.device).float()
    frozen_until = trained_from if chain.can_cut(trained_from) else batch.start
    with rule.precision.applied(chain.model, rule.device), torch.no_grad():
        x = chain.run(x, batch.start, frozen_until)
    # A classifier alone costs nothing: it is trained exactly.
    precision = FLOAT32 if frozen_until == chain.pooled else rule.precision
    with precision.applied(chain.model, rule.device):
        logits = chain.run(x.float(), frozen_until, chain.logits)
    return summed_cross_entropy(logits, labels, weights, label_smoothing=rule.label_smoothing)


def _update(optimizer: Optimizer, loss: Float[Tensor, ""], clip: float) -> Float[Tensor, ""]:
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    gradients = [p.grad for p in parameters]
    norm = get_total_norm(gradients)
    if clip:
        clip_grads_with_norm_(parameters, clip, norm)
    skipped = (~(torch.isfinite(norm) & torch.isfinite(loss))).float()
    fused: Any = optimizer
    fused.grad_scale, fused.found_inf = None, skipped
    optimizer.step()
    return skipped


def _parts(batch: Batch, most: int) -> Iterator[Batch]:
    for start in range(0, len(batch.labels), most):
        part = slice(start, start + most)
        yield Batch(batch.inputs[part], batch.start, batch.labels[part], batch.image_weights[part])
