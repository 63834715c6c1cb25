"""`vitrail fit … --plan`: what a fit would train, measured on this machine, without training or leaving anything."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, nobody
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.training.plan import TrainingPlan, training_plan
from vitrail.training.plan_table import learning_rate_rows, plan_lines, rate_lines, stage_rows
from vitrail.workflows.fit.preparation import prepare
from vitrail.workflows.fit.settings import FitSettings
from vitrail.workflows.fit.start import StartedFit


@dataclass(frozen=True, repr=False)
class PlanResult(ShownAsText):
    """A plan.

    Attributes:
        plan: stages, precision, costs, remarks.
        stages: the table, one dictionary per stage, see `vitrail.training.plan_table.plan_rows`.
        learning_rates: one dictionary per optimiser step, see `vitrail.training.plan_table.learning_rate_rows`.
    """

    plan: TrainingPlan
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

    def lines(self) -> list[str]:
        """The stages, what to know of them, and the learning rates of every layer group, step by step."""
        remarks = [f"warning  {remark}" for remark in self.plan.remarks]
        return [*plan_lines(self.stages, self.plan), *remarks, "", *rate_lines(self.learning_rates)]


def finish_plan(started: StartedFit, settings: FitSettings, *, emit: Emit = nobody) -> PlanResult:
    """The plan of a fit with these settings; times are measured and hold for this machine.

    Raises:
        FindingsError: the check found something that must be mended first.
        InputError: data, model or settings are not as expected.
    """
    prepared = prepare(started, settings, emit=emit)
    model, images = prepared.model, prepared.images
    model.set_zero_head(len(images.classes))
    folder = started.out if started.out.exists() else Path(tempfile.gettempdir())
    plan = training_plan(None, model, images, settings.training, folder=folder)
    steps_per_epoch = -(-images.count("train") // plan.images_per_step)
    rates = learning_rate_rows(plan.stages, model.chain, settings.training, steps_per_epoch=steps_per_epoch)
    return PlanResult(plan, stage_rows(plan, model, images), rates)
