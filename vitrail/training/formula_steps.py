"""How the steps of a pretraining run are computed: decided once, and journaled.

Only gradients are compared: before training, a network tells hardly any images apart, in whatever arithmetic.
"""

from dataclasses import dataclass

import torch

from vitrail.basics.run_folder import RunFolder
from vitrail.models.chain import Chain
from vitrail.prediction.normalise import Normalise
from vitrail.training.formula_batches import FormulaBatches
from vitrail.training.parameter_groups import freeze_below
from vitrail.training.precision import (
    TrainingPrecision,
    agreeing_step,
    measure_steps,
    named_precision,
    reason_for,
    tried_precisions,
)
from vitrail.training.pretraining_settings import PretrainingSettings
from vitrail.training.step import Batch, StepRule, loss_of

MEASURED_IMAGES = 64
"""Images of a measured step, at most; fewer would favour what costs little per call."""


@dataclass(frozen=True)
class StepPlan:
    """The precision of the steps, and why, in words."""

    precision: TrainingPrecision
    reason: str


def step_plan(run: RunFolder, chain: Chain, batches: FormulaBatches, settings: PretrainingSettings) -> StepPlan:
    """The plan of this run: as the run that is continued journaled it, or decided now and journaled."""
    before = run.noted("plan")
    if before is not None:
        return StepPlan(named_precision(before["precision"]), before["reason"])
    device, last = batches.normalise.device, batches.batch(batches.total_steps - 1)
    measured = slice(0, MEASURED_IMAGES)
    sample = Batch(last.inputs[measured], 0, last.labels[measured], last.image_weights[measured])
    freeze_below(chain, 0)

    def loss(candidate: TrainingPrecision) -> torch.Tensor:
        rule = StepRule(batches.normalise, candidate, settings.label_smoothing, settings.clip, device)
        return loss_of(chain, sample, rule, trained_from=0)

    trials = measure_steps(chain.model, loss, device, candidates=tried_precisions(settings.training_precision, device))
    best = agreeing_step(trials)
    plan = StepPlan(best.precision, reason_for(best, trials))
    run.note("plan", precision=best.precision.name, reason=plan.reason, trials=[trial.as_json() for trial in trials])
    return plan


def step_rule(plan: StepPlan, normalise: Normalise, settings: PretrainingSettings) -> StepRule:
    """What is the same for all steps."""
    return StepRule(normalise, plan.precision, settings.label_smoothing, settings.clip, normalise.device)
