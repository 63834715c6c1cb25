"""How the steps of a training are computed and what they cost: by machine and images, and timed for the plan."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.data.columns import evenly_chosen
from vitrail.data.loader import pixel_batches
from vitrail.data.split_images import SplitImages
from vitrail.models.inputs import Pixels
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.agreement import Agreement
from vitrail.prediction.runtimes.comparing import COMPARED_IMAGES, Comparison
from vitrail.prediction.runtimes.runtime import Workload
from vitrail.training.costs import BACKWARD_COST, Costs
from vitrail.training.objectives.classification import logits_of
from vitrail.training.objectives.supervised import summed_cross_entropy
from vitrail.training.parameter_groups import freeze_below
from vitrail.training.precision import (
    StepTrial,
    TrainingPrecision,
    agreeing_step,
    keeping_apart,
    measure_steps,
    reason_for,
    tried_precisions,
)
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import Stage

MEASURED_IMAGES = {"cpu": 4}
"""Images of a measured step; 16 on a GPU."""


def tried_steps(
    ready: ReadyModel, stages: tuple[Stage, ...], images: SplitImages, settings: TrainingSettings
) -> tuple[TrainingPrecision, str, Costs]:
    """The precision of the steps, why, and what they cost, found on some training images.

    The precision is the same however busy the machine is; only the costs are not.
    """
    chain, places = ready.chain, evenly_chosen(images.labelled("train").places, COMPARED_IMAGES)
    pixels = next(pixel_batches(places, ready.preprocessing, batch_size=len(places), workers=0))
    lowest = min(stage.cut for stage in stages)
    # A classifier alone is always trained exactly.
    asked = "float32" if lowest == chain.pooled else settings.training_precision
    tried = tried_precisions(asked, ready.device, computed_twice=settings.gradient_checkpointing)
    candidates, found = _keeping_apart(ready, pixels, tried)
    count = MEASURED_IMAGES.get(ready.device.type, 16)
    trials = _step_trials(ready, pixels[:: max(1, len(pixels) // count)][:count], lowest, candidates)
    best = agreeing_step(trials)
    # What was measured is one forward pass, and a backward pass through what is trained.
    groups = len(chain.order.groups)
    trained_share = max(0, groups - lowest) / groups
    measured = min(count, len(pixels))
    per_pass = best.seconds / measured / (1 + BACKWARD_COST * trained_share)
    exact_pass = trials[0].seconds / measured / (1 + BACKWARD_COST * trained_share)
    reason = reason_for(best, trials)
    if len(candidates) == 1 and found:
        reason = f"{reason}: in bfloat16 features would be {found[-1].apart_text()}"
    return best.precision, reason, Costs(per_pass * (1 + BACKWARD_COST), exact_pass, groups)


def _keeping_apart(
    ready: ReadyModel, pixels: np.ndarray, candidates: tuple[TrainingPrecision, ...]
) -> tuple[tuple[TrainingPrecision, ...], tuple[Agreement, ...]]:
    if len(candidates) == 1:
        return candidates, ()
    compared = Comparison(Workload(ready.model, ready.preprocessing, ready.device, pixels)).pixels
    normalised = Normalise(ready.preprocessing, ready.device)(Pixels(compared))
    return keeping_apart(ready.model, normalised, candidates)


def _step_trials(
    ready: ReadyModel, pixels: np.ndarray, lowest: int, candidates: tuple[TrainingPrecision, ...]
) -> list[StepTrial]:
    ready.model.to(ready.device)
    normalise, labels = Normalise(ready.preprocessing, ready.device), torch.arange(len(pixels)) % 2
    freeze_below(ready.chain, lowest)

    def loss(candidate: TrainingPrecision) -> Float[Tensor, ""]:
        logits = logits_of(ready.chain, Pixels(pixels), normalise, trained_from=lowest, precision=candidate)
        return summed_cross_entropy(logits, labels.to(ready.device), torch.ones(len(labels), device=ready.device))

    try:
        return measure_steps(ready.model, loss, ready.device, candidates=candidates)
    finally:
        ready.model.requires_grad_(True).eval()
