"""`vitrail fit … --plan`: what a fit would train, measured on this machine, without training or leaving anything."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.events import Emit, nobody
from vitrail.models.chain import Chain
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.training.plan import learning_rate_rows
from vitrail.workflows.fit_plan import FitPlan, planned
from vitrail.workflows.fit_preparation import prepare
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.fit_start import StartedFit
from vitrail.workflows.fit_tuning import stage_rows


@dataclass(frozen=True)
class PlanResult:
    """A plan.

    Attributes:
        plan: stages, precision, costs, remarks.
        stages: the table, one dictionary per stage, see `vitrail.training.plan.plan_rows`.
        learning_rates: one dictionary per optimiser step, see `vitrail.training.plan.learning_rate_rows`.
    """

    plan: FitPlan
    stages: list[dict[str, Any]]
    learning_rates: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "stages": self.stages,
            "images_per_step": self.plan.images_per_step,
            "optimizer_steps": len(self.learning_rates),
            "precision": self.plan.precision.name,
            "remarks": list(self.plan.remarks),
            "learning_rates": self.learning_rates,
        }


def finish_plan(started: StartedFit, settings: FitSettings, *, emit: Emit = nobody) -> PlanResult:
    """The plan of a fit with these settings; times are measured and hold for this machine.

    Raises:
        FindingsError: the check found something that must be mended first.
        InputError: data, model or settings are not as expected.
    """
    ready = prepare(started, settings, emit=emit)
    model, classes = ready.frozen.model, len(ready.images.classes)
    set_linear_head(model, torch.zeros(classes, feature_width(model)), torch.zeros(classes))
    folder = started.out if started.out.exists() else Path(tempfile.gettempdir())
    plan = planned(None, ready.frozen, ready.images.rows, settings.training, folder=folder)
    steps_per_epoch = -(-len(ready.images.labelled("train")) // plan.images_per_step)
    rates = learning_rate_rows(plan.stages, Chain(model), settings.training, steps_per_epoch=steps_per_epoch)
    return PlanResult(plan, stage_rows(plan, ready.frozen, ready.images), rates)
