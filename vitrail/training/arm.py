"""An arm: one way from a beginning to answers. Planned, trained, the best epoch chosen, asked about held-out images.

A fit is one arm; the comparison with training from nothing and the staged study are several, which differ in one thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.data.split_images import SplitImages
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.training.choice import Candidates, EpochChoice, choose_epoch, cross_fitted_epochs
from vitrail.training.image_stages import ArmSettings, TrainedModel, exact_answers, train_stages, use_weights
from vitrail.training.plan import TrainingPlan, training_plan
from vitrail.training.plan_table import stage_rows, tell_plan

Logits = Mapping[str, Float[np.ndarray, "_ K"]]
"""Answers by split, in the order of the split's rows."""


@dataclass(frozen=True)
class Arm:
    """What came of an arm; the model has the weights that were kept, in evaluation mode, on the processor.

    Attributes:
        plan: what was to be trained.
        trained: what training made of it; None where nothing was trained.
        choice: probe or epoch; None where there was no probe to choose from, and the best epoch was taken.
        logits: of the kept model. Validation images are answered by the choice that the others would have made.
    """

    plan: TrainingPlan
    trained: TrainedModel | None
    choice: EpochChoice | None
    logits: Logits

    @property
    def epochs(self) -> int:
        """Walks through the training images in all stages."""
        return sum(stage.epochs for stage in self.plan.stages)

    @property
    def is_trained(self) -> bool:
        """Whether the kept model was trained beyond its probe."""
        return self.trained is not None and (self.choice is None or self.choice.epoch is not None)


def trained_arm(
    place: RunFolder | RunPart,
    ready: ReadyModel,
    images: SplitImages,
    settings: ArmSettings,
    *,
    probe: Logits | None = None,
    runtime: Runtime,
    emit: Emit,
) -> Arm:
    """Train the stages that the settings ask for, and keep the better of probe and best epoch.

    Args:
        place: the run folder, or a part of it: journal, caches, checkpoints.
        ready: the model as it begins; it becomes the one that is kept.
        images: all images of the run; there are validation images among them.
        settings: see there.
        probe: what the model answers as it begins, where that is a candidate; None: the best epoch is kept.
        runtime: in which states of training views are computed.
        emit: receives progress.

    Raises:
        InputError: settings that do not fit the model or the images.
        VitrailError: see `train_stages`. The same call continues where it was.
    """
    plan = training_plan(place, ready, images, settings.training, folder=place.work)
    tell_plan(stage_rows(plan, ready, images), plan, emit)
    if not plan.stages:
        return Arm(plan, None, None, probe or {})
    trained = train_stages(place, ready, images, plan, settings, runtime=runtime, emit=emit)
    beginning = np.zeros_like(trained.logits[0]) if probe is None else probe["val"]
    candidates = Candidates(
        np.concatenate([beginning[None], trained.logits]), images.labelled("val").labels, images.groups("val"),
        settings.seed,
    )  # fmt: skip
    choice = None if probe is None else choose_epoch(candidates, in_doubt=settings.training.in_doubt)
    _keep(place, ready, trained, choice, emit)
    logits = {"val": cross_fitted_epochs(candidates) if choice is None else choice.cross_fitted}
    if images.count("test"):
        stays = probe if choice is not None and choice.epoch is None else None
        logits["test"] = exact_answers(ready, images, "test", settings.pass_) if stays is None else stays["test"]
    return Arm(plan, trained, choice, logits)


def _keep(
    place: RunFolder | RunPart, ready: ReadyModel, trained: TrainedModel, choice: EpochChoice | None, emit: Emit
) -> None:
    """Give the model the weights that were chosen, of the best epoch where nothing else was a candidate."""
    use_weights(ready, trained, tuned=choice is None or choice.epoch is not None)
    if choice is not None:
        ready.soften(choice.temperature)
        place.note("choice", epoch=choice.epoch, temperature=choice.temperature, p_value=choice.comparison.p_value)
        emit(Noted(f"kept     {choice.sentence(trained.state)}"))
