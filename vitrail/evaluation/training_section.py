"""The training section of a report: stages, epochs, curve, what was kept and why."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vitrail.data.split_images import SplitImages
from vitrail.evaluation.section import Section, Sentence
from vitrail.measures.calibration import log_losses
from vitrail.measures.intervals import Measure
from vitrail.measures.learning_curve import analyse_learning_curve, curve_measures
from vitrail.measures.means import mean, share
from vitrail.models.ready import ReadyModel
from vitrail.pages.curves import training_plots
from vitrail.training.arm import Arm
from vitrail.training.choice import EpochChoice
from vitrail.training.image_stages import TrainedModel
from vitrail.training.plan import TrainingPlan
from vitrail.training.plan_table import stage_rows
from vitrail.training.state import TrainingState


def training_section(arm: Arm, ready: ReadyModel, images: SplitImages) -> Section | None:
    """Stages, epochs, curve and choice of a fit; None where nothing but the probe was trained.

    Args:
        arm: of the fit.
        ready: its model.
        images: all images of the run.
    """
    if arm.trained is None or arm.choice is None:
        return None
    state = arm.trained.state
    return Section(
        "training",
        1,
        "How it was trained",
        {
            "stages": [{**row, **step_speed(state, row["name"])} for row in stage_rows(arm.plan, ready, images)],
            "epochs": epoch_rows(arm.trained, images),
            "seconds": round(state.seconds, 1),
            "chosen_epoch": arm.choice.epoch,
            "curve": _curve(arm.trained, images),
            "choice": arm.choice.comparison.as_json(),
        },
        sentences=[_verdict(arm.choice), *map(Sentence, _sentences(arm.choice, state, arm.plan))],
        template="sections/training.html",
        draw=lambda figures: {"curves": training_plots(figures)},
    )


def _verdict(choice: EpochChoice) -> Sentence:
    decision = choice.comparison.decision
    if decision == "not enough evidence":
        return Sentence("Not enough evidence that the model trained further beats the probe", decision)
    return Sentence(f"Trained further, the model is {decision} than the probe", decision)


def trained_words(arm: Arm) -> str | None:
    """How the kept model was trained, in a line; None where the probe stayed."""
    if arm.trained is None or arm.choice is None or arm.choice.epoch is None:
        return None
    stages = ", then ".join(f"{stage.name} ({stage.epochs} epochs)" for stage in arm.plan.stages)
    kept = f"kept epoch {arm.choice.epoch} of {arm.trained.state.epochs}"
    return f"stages {stages}, starting from the linear probe; {kept}"


def epoch_rows(trained: TrainedModel, images: SplitImages) -> list[dict[str, Any]]:
    """One dictionary per epoch for plots: losses, accuracy, and the last layer's learning rate.

    Validation figures rest on `n` images and have 95 % intervals; the training loss rests on `training_n` images, each
    as it was augmented, while learning.
    """
    right, losses = _judged(trained, images)
    groups, training_n = images.groups("val"), images.count("train")
    rows = []
    for record, is_right, loss in zip(trained.state.history, right, losses, strict=True):
        accuracy = share(is_right, name="validation_accuracy", groups=groups)
        rows.append(
            {
                "stage": record["stage"],
                "epoch": record["epoch"],
                "training_loss": record["training_loss"],
                "training_n": training_n,
                "validation_loss": record["validation_loss"],
                "validation_loss_interval": _interval(mean(loss, name="validation_loss", groups=groups)),
                "validation_accuracy": record["validation_accuracy"],
                "validation_accuracy_interval": _interval(accuracy),
                "n": accuracy.n,
                "learning_rate": max(record["learning_rates"].values()),
            }
        )
    return rows


def curve_words(curve: Mapping[str, Any]) -> str:
    """The learning curve in a line, for the terminal."""
    measures = {name: Measure.from_json(fields) for name, fields in curve["measures"].items()}
    gap = measures.get("final_train_val_gap")
    best = f"best of {curve['epochs']} epochs {measures['max_val_acc'].text()}"
    if gap is None:
        return best
    counts = f"n = {curve['n']:,} validation and {curve['training_n']:,} training images"
    told = f"{gap.interval_text()}, {counts}" if gap.interval_text() else f"{counts}; {gap.undefined_because}"
    return f"{best}; validation − training loss at the end {gap.value_text()} nats ({told})"


def _curve(trained: TrainedModel, images: SplitImages) -> dict[str, Any]:
    """The four figures under their names; `measures` has them with n and interval."""
    history = trained.state.history
    curve = analyse_learning_curve(
        np.array([record["validation_accuracy"] for record in history]),
        np.array([record["validation_loss"] for record in history]),
        final_training_loss=trained.state.final_training_loss,
    )
    right, losses = _judged(trained, images)
    measures = curve_measures(
        right, losses[-1], trained.sample_losses, groups=images.groups("val"), training_groups=trained.sample_groups
    )
    return {
        **curve.as_json(),
        "epochs": len(history),
        "n": right.shape[1],
        "training_n": None if trained.sample_losses is None else len(trained.sample_losses),
        "measures": {name: measure.as_json() for name, measure in measures.items()},
    }


def _judged(trained: TrainedModel, images: SplitImages) -> tuple[Bool[np.ndarray, "E N"], Float[np.ndarray, "E N"]]:
    """Whether each validation image was answered right after each epoch, and its log loss in nats."""
    labels = images.labelled("val").labels
    return trained.logits.argmax(axis=2) == labels, log_losses(trained.logits, labels)


def _interval(measure: Measure) -> list[float] | None:
    return None if measure.low is None or measure.high is None else [measure.low, measure.high]


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


def step_speed(state: TrainingState, stage: str) -> dict[str, float]:
    """What the steps of a stage took, without cache and validation: their seconds, images per second, and percent spent
    waiting."""
    spent = state.spent[stage]
    seconds = max(spent["seconds"], 1e-9)
    return {
        "seconds": round(spent["seconds"], 2),
        "images_per_second": round(spent["images"] / seconds, 1),
        "waiting_percent": round(100 * spent["waited"] / seconds, 1),
    }
