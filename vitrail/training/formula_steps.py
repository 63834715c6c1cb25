"""How the steps of a pretraining run are computed: decided once, and journaled.

Only gradients are compared: before training, a network tells hardly any images apart, in whatever arithmetic.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from vitrail.basics.run_folder import RunFolder
from vitrail.models.chain import Chain
from vitrail.training.formula_batches import FormulaBatches
from vitrail.training.objectives.classification import logits_of
from vitrail.training.objectives.supervised import summed_cross_entropy
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
from vitrail.training.stages import Stage

MEASURED_IMAGES = 64
"""Images of a measured step, at most; fewer would favour what costs little per call."""


def formula_stage(settings: PretrainingSettings) -> Stage:
    """The one stage of a pretraining: the whole network, at growing sizes."""
    return Stage("formula", settings.epochs, settings.learning_rate, 0, 0, None, cached=False, sizes=settings.sizes)


@dataclass(frozen=True)
class StepPlan:
    """The precision of the steps, and why, in words."""

    precision: TrainingPrecision
    reason: str


def step_plan(run: RunFolder, chain: Chain, batches: FormulaBatches, settings: PretrainingSettings) -> StepPlan:
    """The plan of this run: as the run that is continued journaled it, or decided now, on its last step's images."""
    before = run.noted("plan")
    if before is not None:
        return StepPlan(named_precision(before["precision"]), before["reason"])
    normalise, device = batches.normalise, batches.normalise.device
    sample = batches.batch(formula_stage(settings), settings.total_steps - 1).part(slice(0, MEASURED_IMAGES))
    assert sample.labels is not None
    labels, weights = sample.labels.to(device), sample.weights.to(device)
    freeze_below(chain, 0)

    def loss(candidate: TrainingPrecision) -> Float[Tensor, ""]:
        logits = logits_of(chain, sample.inputs[0], normalise, trained_from=0, precision=candidate)
        return summed_cross_entropy(logits, labels, weights, label_smoothing=settings.label_smoothing)

    tried = tried_precisions(settings.training_precision, device, computed_twice=settings.gradient_checkpointing)
    trials = measure_steps(chain.model, loss, device, candidates=tried)
    best = agreeing_step(trials)
    plan = StepPlan(best.precision, reason_for(best, trials))
    run.note("plan", precision=best.precision.name, reason=plan.reason, trials=[trial.as_json() for trial in trials])
    return plan
