"""The training section of a report: stages, epochs, curve, what was kept and why."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vitrail.data.split_images import SplitImages
from vitrail.measures.learning_curve import analyse_learning_curve
from vitrail.models.ready import ReadyModel
from vitrail.training.arm import Arm
from vitrail.training.choice import EpochChoice
from vitrail.training.image_stages import TrainedModel
from vitrail.training.plan import TrainingPlan
from vitrail.training.plan_table import stage_rows
from vitrail.training.state import TrainingState


def training_section(
    arm: Arm, ready: ReadyModel, images: SplitImages, *, scratch: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The section under the names of its template; None where nothing but the probe was trained.

    Args:
        arm: of the fit.
        ready: its model.
        images: all images of the run.
        scratch: the comparison with training from nothing, where there is one.
    """
    if arm.trained is None or arm.choice is None:
        return None
    history = arm.trained.state.history
    curve = analyse_learning_curve(
        np.array([record["validation_accuracy"] for record in history]),
        np.array([record["validation_loss"] for record in history]),
        final_training_loss=arm.trained.state.final_training_loss,
    )
    return {
        "stages": [{**row, **_spent(arm.trained.state, row["name"])} for row in stage_rows(arm.plan, ready, images)],
        "epochs": epoch_rows(arm.trained),
        "seconds": round(arm.trained.state.seconds, 1),
        "chosen_epoch": arm.choice.epoch,
        "curve": curve.as_json(),
        "choice": arm.choice.comparison.as_json(),
        "sentences": _sentences(arm.choice, arm.trained.state, arm.plan),
        "scratch": scratch,
    }


def trained_words(arm: Arm) -> str | None:
    """How the kept model was trained, in a line; None where the probe stayed."""
    if arm.trained is None or arm.choice is None or arm.choice.epoch is None:
        return None
    stages = ", then ".join(f"{stage.name} ({stage.epochs} epochs)" for stage in arm.plan.stages)
    kept = f"kept epoch {arm.choice.epoch} of {arm.trained.state.epochs}"
    return f"stages {stages}, starting from the linear probe; {kept}"


def epoch_rows(trained: TrainedModel) -> list[dict[str, Any]]:
    """One dictionary per epoch for plots: losses, accuracy, and the last layer's learning rate."""
    return [
        {
            "stage": record["stage"],
            "epoch": record["epoch"],
            "training_loss": record["training_loss"],
            "validation_loss": record["validation_loss"],
            "validation_accuracy": record["validation_accuracy"],
            "learning_rate": max(record["learning_rates"].values()),
        }
        for record in trained.state.history
    ]


def _sentences(choice: EpochChoice, state: TrainingState, plan: TrainingPlan) -> list[str]:
    lines = [
        choice.sentence(state),
        "Validation images chose the epoch; their figures are cross-fitted: each image is answered by the choice that "
        "the other images would have made.",
        f"Steps were computed in {plan.reason}.",
    ]
    if choice.temperature > 1:
        lines.append(
            "Its confidence was lowered to what validation images bear out: logits divided by "
            f"{choice.temperature:.2f} (temperature scaling), folded into the classifier."
        )
    return [*lines, *state.left_out(), *plan.remarks]


def _spent(state: TrainingState, stage: str) -> dict[str, float]:
    """What the steps of a stage took, without cache and validation."""
    spent = state.spent[stage]
    seconds = max(spent["seconds"], 1e-9)
    return {
        "seconds": round(spent["seconds"], 2),
        "images_per_second": round(spent["images"] / seconds, 1),
        "waiting_percent": round(100 * spent["waited"] / seconds, 1),
    }
