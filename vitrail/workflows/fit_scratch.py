"""What pretraining gained: the same network from nothing, on the same images, with as many steps."""

from typing import Any

import numpy as np

from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.evaluation.report import HEADLINE_ORDER
from vitrail.features.feature_pass import FrozenModel
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure
from vitrail.measures.transfer import transfer_gain
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.training.plan import duration
from vitrail.workflows.fit_choice import Candidates, cross_fitted_epochs
from vitrail.workflows.fit_plan import FitPlan, planned
from vitrail.workflows.fit_preparation import Prepared, seeded_classifier
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.fit_training import TrainedModel, answers_of, train_stages, use_weights
from vitrail.workflows.fit_tuning import Tuning, epoch_rows
from vitrail.workflows.judging import group_numbers

SCRATCH_RATE = 5e-4
"""Peak learning rate of AdamW from nothing, that of DeiT (Touvron et al. 2021) for steps of 512 images."""
SCRATCH_DECAY = 0.1
"""Weight decay where nothing is pretrained, as in the articles Vitrail grew from."""
EPOCHS_BESIDE_A_PROBE = 20
"""Walks through the images from nothing where the pretrained model was not trained beyond its probe."""


def gained_by_pretraining(
    run: RunFolder, ready: Prepared, settings: FitSettings, tuning: Tuning, *, runtime: Runtime, emit: Emit
) -> dict[str, Any] | None:
    """Train the same network from random weights, if asked for, and measure what the pretrained one gained.

    Its budget is the same number of walks through the training images, all of them through the whole network; what
    the caches saved the other run is not taken off. Its best epoch is chosen by the same validation images.

    Args:
        run: the run folder; this part works in a folder of its own.
        ready: the pretrained model, and the images.
        settings: of the whole fit.
        tuning: how the pretrained model was trained, and what it answered.
        runtime: as of the fit.
        emit: receives progress.

    Returns:
        The section of the report under the names of its template; None where nothing was asked for.
    """
    if settings.compare == "none":
        return None
    plan, answers = tuning.plan, tuning.answers
    part = RunPart(run, "scratch")
    nothing = settings.model.model_copy(update={"pretrained": False})
    # The classifier is timm's own: one of zeros would be a handicap for random weights.
    model = seeded_classifier(nothing, settings.seed, num_classes=len(ready.images.classes)).model
    frozen = FrozenModel(model, ready.frozen.preprocessing, "", ready.frozen.device)
    epochs = sum(stage.epochs for stage in plan.stages) or EPOCHS_BESIDE_A_PROBE
    own = _own_settings(settings, epochs)
    scratch_plan = planned(part, frozen, ready.images.rows, own.training, folder=run.work)
    walks = f"{epochs} epoch{'' if epochs == 1 else 's'}"
    emit(Noted(f"scratch  the same network from nothing, {walks}, {_cost(scratch_plan, ready)}"))
    trained = train_stages(part, frozen, ready.images, scratch_plan, own, runtime=runtime, emit=emit)
    split = next(split for split in (*HEADLINE_ORDER, *answers) if split in answers)
    logits = _scratch_logits(frozen, ready, trained, split, own)
    return _section(ready, trained, split, answers[split].logits, logits, settings)


def _own_settings(settings: FitSettings, epochs: int) -> FitSettings:
    training = settings.training.model_copy(
        update={
            "stages": ("all",), "all_epochs": epochs, "time": None, "learning_rate": SCRATCH_RATE, "optimizer": "adamw",
            "layer_decay": 1.0, "weight_decay": SCRATCH_DECAY,
        }
    )  # fmt: skip
    return settings.model_copy(update={"training": training})


def _cost(plan: FitPlan, ready: Prepared) -> str:
    assert plan.costs is not None
    images, held_out = len(ready.images.labelled("train")), len(ready.images.labelled("val"))
    seconds = sum(plan.costs.stage_seconds(s, images=images, validation_images=held_out) for s in plan.stages)
    return f"about {duration(seconds)}"


def _scratch_logits(
    frozen: FrozenModel, ready: Prepared, trained: TrainedModel, split: str, settings: FitSettings
) -> np.ndarray:
    if split == "val":
        labels = ready.images.labelled("val").labels
        nothing = np.zeros_like(trained.logits[:1])
        logits = np.concatenate([nothing, trained.logits])
        return cross_fitted_epochs(Candidates(logits, labels, group_numbers(ready.images.rows, "val"), settings.seed))
    use_weights(frozen, trained, tuned=True)
    return answers_of(frozen, ready.images, split, settings)


def _section(
    ready: Prepared,
    trained: TrainedModel,
    split: str,
    transfer: np.ndarray,
    scratch: np.ndarray,
    settings: FitSettings,
) -> dict[str, Any]:
    labels, groups = ready.images.labelled(split).labels, group_numbers(ready.images.rows, split)
    right, right_from_scratch = transfer.argmax(axis=1) == labels, scratch.argmax(axis=1) == labels
    classes, seed = len(ready.images.classes), settings.seed
    gain = transfer_gain(
        right, right_from_scratch, classes=classes, random_accuracy=settings.random_accuracy, groups=groups, seed=seed
    )
    return {
        "measured_on": split,
        "epochs": epoch_rows(trained),
        "seconds": round(trained.state.seconds, 1),
        "accuracy": accuracy(labels, scratch.argmax(axis=1), groups=groups, seed=seed).as_json(),
        "gain": gain.as_json(),
    }


def gain_sentences(section: dict[str, Any] | None) -> tuple[str, ...]:
    """The comparison in a sentence, where there was one."""
    if section is None:
        return ()
    gain = Measure.from_json(section["gain"]["absolute_improvement"])
    known = gain.value is not None and gain.low is not None and gain.high is not None
    span = f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})" if known else ""  # type: ignore[operator]
    return (
        f"From nothing, with as many epochs, the same network reaches {Measure.from_json(section['accuracy']).text()} "
        f"on {section['measured_on']}; pretraining gained {100 * (gain.value or 0):+.1f} points{span}.",
    )
