"""From the probe to the model that is kept: planned, trained, chosen, and told."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.features.feature_pass import FrozenModel
from vitrail.measures.learning_curve import analyse_learning_curve
from vitrail.models.chain import Chain
from vitrail.models.heads import soften
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.training.plan import plan_rows
from vitrail.workflows.fit_choice import Candidates, Choice, choose
from vitrail.workflows.fit_data import FitImages
from vitrail.workflows.fit_plan import FitPlan, planned
from vitrail.workflows.fit_preparation import Prepared
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.fit_training import TrainedModel, answers_of, train_stages, use_weights
from vitrail.workflows.judging import Answers, group_numbers
from vitrail.workflows.plan_words import tell_plan


@dataclass(frozen=True)
class Tuning:
    """What came of training beyond the probe.

    Attributes:
        answers: of the kept model, by split.
        trained: one line on how the kept model was trained; None when the probe stayed.
        decisions: sentences on what was chosen and why.
        report: the training section of the report; None when nothing was trained.
        plan: what was to be trained.
    """

    answers: dict[str, Answers]
    trained: str | None
    decisions: list[str]
    report: dict[str, Any] | None
    plan: FitPlan

    def section(self, scratch: dict[str, Any] | None) -> dict[str, Any] | None:
        """The training section of the report, with the comparison with scratch where there is one."""
        return None if self.report is None else {**self.report, "scratch": scratch}


def tune(
    run: RunFolder,
    ready: Prepared,
    settings: FitSettings,
    *,
    probe: dict[str, Answers],
    runtime: Runtime,
    emit: Emit,
) -> Tuning:
    """Train the stages that the settings ask for, and keep the better of probe and best epoch; the model becomes it.

    Args:
        run: the run folder.
        ready: the model, with the probe as its head, and the images.
        settings: of the whole fit.
        probe: what probe and neighbours answered, by split.
        runtime: in which states of training views are computed.
        emit: receives progress.
    """
    frozen, images = ready.frozen, ready.images
    plan = planned(run, frozen, images.rows, settings.training, folder=run.work)
    if not plan.stages:
        tell_plan([], plan, emit)
        return Tuning(probe, None, list(plan.remarks), None, plan)
    rows = stage_rows(plan, frozen, images)
    tell_plan(rows, plan, emit)
    trained = train_stages(run, frozen, images, plan, settings, runtime=runtime, emit=emit)
    labels = images.labelled("val").labels
    candidates = Candidates(
        np.concatenate([probe["val"].logits[None], trained.logits]), labels, group_numbers(images.rows, "val"),
        settings.seed,
    )  # fmt: skip
    choice = choose(candidates, in_doubt=settings.training.in_doubt)
    use_weights(frozen, trained, tuned=choice.epoch is not None)
    soften(frozen.model, choice.temperature)
    run.note("choice", epoch=choice.epoch, temperature=choice.temperature, p_value=choice.comparison.p_value)
    sentences = [*_sentences(choice, trained, plan), *plan.remarks]
    emit(Noted(f"kept     {sentences[0]}"))
    answers = {split: replace(answer, logits=_logits(frozen, images, settings, split, choice, answer))
               for split, answer in probe.items()}  # fmt: skip
    line = None if choice.epoch is None else _trained_line(plan, trained, choice.epoch)
    return Tuning(answers, line, [], _report(rows, trained, choice, sentences, labels), plan)


def stage_rows(plan: FitPlan, frozen: FrozenModel, images: FitImages) -> list[dict[str, Any]]:
    """The plan as a table, one dictionary per stage; see `plan_rows`."""
    return plan_rows(
        plan.stages,
        Chain(frozen.model),
        plan.costs,
        images=len(images.labelled("train")),
        validation_images=len(images.labelled("val")),
        images_per_step=plan.images_per_step,
        image_size=f"{frozen.preprocessing.height} × {frozen.preprocessing.width}",
    )


def _logits(
    frozen: FrozenModel, images: FitImages, settings: FitSettings, split: str, choice: Choice, probe: Answers
) -> np.ndarray:
    if split == "val":
        return choice.cross_fitted
    return probe.logits if choice.epoch is None else answers_of(frozen, images, split, settings)


def _trained_line(plan: FitPlan, trained: TrainedModel, epoch: int) -> str:
    stages = ", then ".join(f"{stage.name} ({stage.epochs} epochs)" for stage in plan.stages)
    return f"stages {stages}, starting from the linear probe; kept epoch {epoch} of {trained.state.epochs}"


def _sentences(choice: Choice, trained: TrainedModel, plan: FitPlan) -> list[str]:
    comparison = choice.comparison
    difference = comparison.difference
    measured = f"validation log loss {abs(difference.value or 0):.3f} nats"
    lower = "lower" if (difference.value or 0) > 0 else "higher"
    if choice.epoch is not None:
        beyond = "beyond chance" if comparison.decision == "better" else "not beyond chance; in doubt, training is kept"
        kept = (
            f"epoch {choice.epoch} of {trained.state.epochs} (stage {_stage_of(trained, choice.epoch)}): "
            f"{measured} {lower} than the probe's, {beyond} (p = {comparison.p_value:.2g})."
        )
    elif comparison.decision == "worse":
        kept = f"the probe: training made it worse ({measured} higher, p = {comparison.p_value:.2g})."
    else:
        kept = f"the probe: training did not beat it beyond chance ({measured} {lower}, p = {comparison.p_value:.2g})."
    lines = [
        kept[0].upper() + kept[1:],
        "Validation images chose the epoch; their figures are cross-fitted: each image is answered by the choice that "
        "the other images would have made.",
        f"Steps were computed in {plan.reason}.",
    ]
    if choice.temperature > 1:
        lines.append(
            "Its confidence was lowered to what validation images bear out: logits divided by "
            f"{choice.temperature:.2f} (temperature scaling), folded into the classifier."
        )
    if trained.state.skipped:
        lines.append(f"{trained.state.skipped} steps were left out because their gradient was not finite.")
    return lines


def _stage_of(trained: TrainedModel, epoch: int) -> str:
    return str(trained.state.history[epoch - 1]["stage"])


def _report(
    rows: list[dict[str, Any]], trained: TrainedModel, choice: Choice, sentences: list[str], labels: np.ndarray
) -> dict[str, Any]:
    """The training section: stages, epochs, curve, choice; see the template for the names."""
    history = trained.state.history
    curve = analyse_learning_curve(
        np.array([record["validation_accuracy"] for record in history]),
        np.array([record["validation_loss"] for record in history]),
        final_training_loss=trained.state.final_training_loss,
    )
    return {
        "stages": [{**row, **_spent(trained, row["name"])} for row in rows],
        "epochs": epoch_rows(trained),
        "seconds": round(trained.state.seconds, 1),
        "chosen_epoch": choice.epoch,
        "curve": curve.as_json(),
        "choice": choice.comparison.as_json(),
        "sentences": sentences,
        "scratch": None,
    }


def _spent(trained: TrainedModel, stage: str) -> dict[str, float]:
    """What the steps of a stage took, without cache and validation."""
    spent = trained.state.spent[stage]
    seconds = max(spent["seconds"], 1e-9)
    return {
        "seconds": round(spent["seconds"], 2),
        "images_per_second": round(spent["images"] / seconds, 1),
        "waiting_percent": round(100 * spent["waited"] / seconds, 1),
    }


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
