"""Training on labelled images: caches are filled, the stages are trained, and what each epoch answered is kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitrail.basics.devices import computing_threads
from vitrail.basics.errors import DamagedError
from vitrail.basics.events import Emit
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.columns import in_split
from vitrail.data.group_weights import group_weights
from vitrail.data.split_images import SplitImages
from vitrail.features.feature_pass import PassMeans, PassSettings
from vitrail.measures.calibration import log_losses
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.training.batches import TrainingImages
from vitrail.training.checkpoint import load_weights_of, weights_of
from vitrail.training.job import TrainingJob
from vitrail.training.logits_file import logits_file, read_logits, sample_file
from vitrail.training.loop import train
from vitrail.training.objectives.classification import Classification
from vitrail.training.objectives.supervised import balanced_weights
from vitrail.training.out_of_memory import Portions
from vitrail.training.parameter_groups import freeze_below
from vitrail.training.plan import TrainingPlan
from vitrail.training.settings import TrainingSettings
from vitrail.training.stage_caches import filled_caches
from vitrail.training.stages import CLASSIFICATION
from vitrail.training.state import TrainingState
from vitrail.training.validation import Validation, exact_logits

LEAST_SAMPLE = 200
"""Training images on which the final loss is measured as validation is: as many as validation has, at least so many."""


@dataclass(frozen=True)
class ArmSettings:
    """What a training on labelled images depends on.

    Attributes:
        training: stages, rates, how steps are computed.
        augmentation: how far a training view may differ from its picture.
        pass_: how frozen layers and held-out images are computed.
        seed: of everything that is drawn by lot.
    """

    training: TrainingSettings
    augmentation: AugmentationSettings
    pass_: PassSettings
    seed: int


@dataclass(frozen=True)
class TrainedModel:
    """What training made of the model.

    Attributes:
        state: the record of every epoch, and which was best.
        logits: (E, N, K) of the validation images after every epoch.
        untrained: the weights as they were before, for the case that the probe stays.
        best: those of the best epoch, on top of `untrained`.
        sample_losses: log loss of each image of a sample of the training images after the last step, seen as validation
            is; None in a run that was trained by an earlier version.
        sample_groups: the groups of these images; None when every image stands for itself.
    """

    state: TrainingState
    logits: Float[np.ndarray, "E N K"]
    untrained: dict[str, Tensor]
    best: dict[str, Tensor]
    sample_losses: Float[np.ndarray, "S"] | None = None
    sample_groups: Int[np.ndarray, "S"] | None = None


def train_stages(
    place: RunFolder | RunPart,
    ready: ReadyModel,
    images: SplitImages,
    plan: TrainingPlan,
    settings: ArmSettings,
    *,
    runtime: Runtime,
    emit: Emit,
) -> TrainedModel:
    """Train what the plan says, resuming what an interrupted run left; the model ends with its last weights.

    Args:
        place: holds caches and checkpoints in its work folder, and the journal.
        ready: the model, as it begins.
        images: all images of the run.
        plan: at least one stage.
        settings: see there.
        runtime: in which the states of training views are computed.
        emit: receives progress.

    Raises:
        KeyboardInterrupt: Ctrl-C; a checkpoint has been written.
        TrainingFault: the loss was not finite several times in a row.
        SystemFault: the disk is full, a worker died, or memory does not suffice for one image.
    """
    ready.model.to(ready.device)
    if settings.training.gradient_checkpointing:
        ready.use_gradient_checkpointing()
    untrained = weights_of(ready.model, set(ready.chain.parts))
    means = PassMeans(runtime, settings.pass_.batch_size_on(ready.device), images.workers, emit)
    training, validation, sample = _images_of_training(ready, images, plan, settings)
    caches = filled_caches(plan.stages, ready, training, validation, means, storage=plan.storage, folder=place.work)
    classification = Classification(
        training,
        Normalise(ready.preprocessing, ready.device),
        tuple(images.classes),
        settings.training.label_smoothing,
        {stage: cache.training for stage, cache in caches.items()},
    )
    job = TrainingJob(
        chain=ready.chain,
        stages=plan.stages,
        objectives={CLASSIFICATION: classification},
        validation=validation,
        sample=sample,
        settings=settings.training,
        precision=plan.precision,
        portions=_portions(place, plan, settings.training),
        device=ready.device,
        seed=settings.seed,
        folder=place.work / "training",
        metrics=place.metrics,
        judged_from={stage: cache.validation for stage, cache in caches.items()},
    )
    with computing_threads(plan.threads):
        trained = train(job, emit=emit)
    logits = [read_logits(logits_file(job.folder, epoch + 1)) for epoch in range(trained.state.epochs)]
    losses = _sample_losses(job.folder, sample.labels)
    groups = images.groups("train", most=_sample_size(images), seed=settings.seed)
    return TrainedModel(trained.state, np.stack(logits), untrained, trained.best, losses, groups)


def _sample_losses(folder: Path, labels: Int[np.ndarray, "S"]) -> Float[np.ndarray, "S"] | None:
    try:
        return log_losses(read_logits(sample_file(folder)), labels)
    except DamagedError:
        return None


def _sample_size(images: SplitImages) -> int:
    return max(LEAST_SAMPLE, images.count("val"))


def use_weights(ready: ReadyModel, trained: TrainedModel, *, tuned: bool) -> None:
    """Give the model the weights of the best epoch, or those it had before training; in evaluation mode, on the
    processor."""
    load_weights_of(ready.model, trained.untrained)
    if tuned:
        load_weights_of(ready.model, trained.best)
    freeze_below(ready.chain, 0)
    ready.model.cpu().eval()


def exact_answers(
    ready: ReadyModel, images: SplitImages, split: str, settings: PassSettings
) -> Float[np.ndarray, "N K"]:
    """Logits of a split's images, exactly as the package will give them."""
    size = settings.batch_size_on(ready.device)
    return exact_logits(
        ready.chain, Validation(images.labelled(split), ready.preprocessing, size, images.workers), ready.device
    )


def _images_of_training(
    ready: ReadyModel, images: SplitImages, plan: TrainingPlan, settings: ArmSettings
) -> tuple[TrainingImages, Validation, Validation]:
    """What is trained on, what judges epochs, and a sample of the former seen as the latter."""
    labelled, classes = images.labelled("train"), len(images.classes)
    balanced = settings.training.class_weights == "balanced"
    weights = training_weights(images, settings.training)
    training = TrainingImages(
        images=labelled,
        preprocessing=ready.preprocessing,
        augmentation=settings.augmentation,
        class_weights=balanced_weights(labelled.labels, classes) if balanced else torch.ones(classes),
        images_per_step=plan.images_per_step,
        seed=settings.seed,
        workers=images.workers,
        image_weights=None if weights is None else torch.from_numpy(weights).float(),
    )
    size, held_out = settings.pass_.batch_size_on(ready.device), images.labelled("val")
    sample = images.labelled("train", most=_sample_size(images), seed=settings.seed)
    validation, seen = (Validation(each, ready.preprocessing, size, images.workers) for each in (held_out, sample))
    return training, validation, seen


def training_weights(images: SplitImages, settings: TrainingSettings) -> Float[np.ndarray, "N"] | None:
    """How much each training image counts, where groups are reweighted; None: they are not.

    Raises:
        InputError: no image has that attribute, or it makes no groups.
    """
    by = settings.reweight_by
    return None if by is None else group_weights(in_split(images.rows, "train"), by)


def _portions(place: RunFolder | RunPart, plan: TrainingPlan, settings: TrainingSettings) -> Portions:
    at_once = -(-plan.images_per_step // settings.accumulate)
    return Portions(at_once, place.all_noted("images_at_once"), place.note)
