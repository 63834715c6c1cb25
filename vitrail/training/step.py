"""One optimiser step: forward and backward in parts, one clipped update, nothing read by the host."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from vitrail.models.chain import Chain, batch_norms, statistics_in_motion
from vitrail.training.batch import Batches, in_parts
from vitrail.training.loss_scale import NoLossScale
from vitrail.training.objectives.objective import Gathered, Moment, Objective
from vitrail.training.precision import TrainingPrecision


@dataclass(frozen=True)
class StepRule:
    """What is the same for all steps of a run.

    Attributes:
        precision: in which arithmetic losses and gradients are computed.
        scale: by which the loss is multiplied where that arithmetic would lose gradients.
        clip: largest norm of the gradient; 0 leaves it as it is.
        device: where steps are computed.
    """

    precision: TrainingPrecision
    scale: NoLossScale
    clip: float
    device: torch.device


@dataclass(frozen=True)
class StepDone:
    """What a step gives, on the device.

    Attributes:
        loss: of the whole step.
        skipped: 1 where nothing was changed, because loss or gradient was not finite, else 0.
        searching: 1 where that was part of the search for a loss scale, and no step is lost, else 0.
    """

    loss: Float[Tensor, ""]
    skipped: Float[Tensor, ""]
    searching: Float[Tensor, ""]


def train_step(
    chain: Chain,
    optimizer: Optimizer,
    objective: Objective,
    batches: Batches,
    rule: StepRule,
    *,
    at: Moment,
    most_at_once: int,
) -> StepDone:
    """Update what is trained at this moment by the gradient of the step's loss.

    The gradient does not depend on `most_at_once`, but for rounding: parts add up, also a smaller last one (batch norms
    that are trained see each part for itself). When the gradient is not finite, or the step fails, nothing changes,
    not even the moving statistics of batch norms.
    """
    optimizer.zero_grad(set_to_none=True)
    moving = [*chain.moving_statistics(), *statistics_in_motion(batch_norms(objective.modules))]
    before = [statistic.clone() for statistic in moving]
    try:
        loss, gathered = _backward(chain, objective, batches, rule, at=at, most_at_once=most_at_once)
    except (RuntimeError, MemoryError):  # of parts that were done before memory ran out
        for statistic, earlier in zip(moving, before, strict=True):
            statistic.copy_(earlier)
        raise
    done = _update(optimizer, loss, rule)
    for statistic, earlier in zip(moving, before, strict=True):
        statistic.copy_(torch.where(done.skipped.bool(), earlier, statistic))
    with torch.no_grad():
        objective.after_step(chain, gathered, at=at, applied=1 - done.skipped)
    return done


def _backward(
    chain: Chain, objective: Objective, batches: Batches, rule: StepRule, *, at: Moment, most_at_once: int
) -> tuple[Float[Tensor, ""], Gathered]:
    """The step's loss, its gradient left in the parameters, and what its parts left behind."""
    loss, gathered = torch.zeros((), device=rule.device), dict[str, Tensor]()
    for part in in_parts(batches, most_at_once) if objective.divisible else (batches,):
        part_loss, left = objective.loss(chain, part, at=at, precision=rule.precision)
        rule.scale.backward(part_loss)
        loss += part_loss.detach()
        for name, value in left.items():
            gathered[name] = value.detach() + gathered[name] if name in gathered else value.detach()
    return loss, gathered


def _update(optimizer: Optimizer, loss: Float[Tensor, ""], rule: StepRule) -> StepDone:
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    gradients: list[Any] = [p.grad for p in parameters]
    rule.scale.unscale(gradients)
    norm = get_total_norm(gradients)
    if rule.clip:
        clip_grads_with_norm_(parameters, rule.clip, norm)
    finite = torch.isfinite(loss)
    overflow = (finite & ~torch.isfinite(norm)).float()
    skipped = (~(torch.isfinite(norm) & finite)).float()
    fused: Any = optimizer
    fused.grad_scale, fused.found_inf = None, skipped
    optimizer.step()
    searching = rule.scale.searching(overflow)
    rule.scale.follow(overflow)
    return StepDone(loss, skipped, searching)
