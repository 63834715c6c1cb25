"""What pretraining gained: the same network from nothing, on the same images, with as many steps."""

from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.evaluation.gain import gain_section
from vitrail.evaluation.judged_images import headline_split
from vitrail.evaluation.section import Section
from vitrail.models.seeded import seeded_classifier
from vitrail.pages.numbers import rough_duration
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.training.arm import Arm, trained_arm
from vitrail.training.plan import training_plan
from vitrail.training.plan_table import stage_rows
from vitrail.workflows.fit.preparation import Prepared
from vitrail.workflows.fit.settings import FitSettings

SCRATCH_RATE = 5e-4
"""Peak learning rate of AdamW from nothing, that of DeiT (Touvron et al. 2021) for steps of 512 images."""
SCRATCH_DECAY = 0.1
"""Weight decay where nothing is pretrained, as in the articles Vitrail grew from."""
EPOCHS_BESIDE_A_PROBE = 20
"""Walks through the images from nothing where the pretrained model was not trained beyond its probe."""


def gained_by_pretraining(
    run: RunFolder, prepared: Prepared, settings: FitSettings, arm: Arm, *, runtime: Runtime, emit: Emit
) -> Section | None:
    """Train the same network from random weights, if asked for, and measure what the pretrained one gained.

    Its budget is the same number of walks through the training images, all of them through the whole network; what
    the caches saved the other run is not taken off. Its best epoch is chosen by the same validation images.

    Args:
        run: the run folder; this part works in a folder of its own.
        prepared: the pretrained model, and the images.
        settings: of the whole fit.
        arm: how the pretrained model was trained, and what it answered.
        runtime: as of the fit.
        emit: receives progress.

    Returns:
        The section of the report; None where nothing was asked for.
    """
    if settings.compare == "none":
        return None
    images, shown = prepared.images, prepared.model.preprocessing
    nothing = settings.model.model_copy(update={"pretrained": False})
    # The classifier is timm's own: one of zeros would be a handicap for random weights.
    beginning = seeded_classifier(nothing, settings.seed, num_classes=len(images.classes))
    model = beginning.seen_through(shown, prepared.model.device)
    epochs = arm.epochs or EPOCHS_BESIDE_A_PROBE
    split = headline_split(arm.logits)
    part, own = RunPart(run, "scratch"), _from_nothing(settings, epochs).arm
    plan = training_plan(part, model, images, own.training, folder=part.work)  # journaled: the arm has the same
    about = rough_duration(sum(row["estimated_seconds"] for row in stage_rows(plan, model, images)))
    emit(Noted(f"scratch  the same network from nothing, {epochs} epoch{'' if epochs == 1 else 's'}, about {about}"))
    scratch = trained_arm(part, model, images, own, runtime=runtime, emit=emit)
    return gain_section(images, split, arm, scratch, random_accuracy=settings.random_accuracy, seed=settings.seed)


def _from_nothing(settings: FitSettings, epochs: int) -> FitSettings:
    training = settings.training.model_copy(
        update={
            "stages": ("all",), "all_epochs": epochs, "time": None, "learning_rate": SCRATCH_RATE, "optimizer": "adamw",
            "slower_layers": "decay", "layer_decay": 1.0, "weight_decay": SCRATCH_DECAY,
        }
    )  # fmt: skip
    return settings.model_copy(update={"training": training})
