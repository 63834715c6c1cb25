"""The stages of a fit: caches are filled, the model is trained, and what it answered in every epoch is kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.basics.devices import computing_threads
from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.features.feature_pass import FrozenModel, PassMeans
from vitrail.features.memory_map import Storage
from vitrail.features.prefix_cache import AS_JUDGED, PrefixCache, ViewedImages, prefix_cache
from vitrail.models.chain import Chain
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.training.batches import TrainingImages
from vitrail.training.checkpoint import load_weights_of, weights_of
from vitrail.training.logits_file import logits_file, read_logits
from vitrail.training.loop import Caches, TrainingJob, train
from vitrail.training.objectives.supervised import balanced_weights
from vitrail.training.out_of_memory import Portions
from vitrail.training.parameter_groups import freeze_below
from vitrail.training.state import TrainingState
from vitrail.training.step import StepRule
from vitrail.training.validation import Validation, exact_logits
from vitrail.workflows.fit_data import FitImages
from vitrail.workflows.fit_plan import FitPlan
from vitrail.workflows.fit_settings import FitSettings


@dataclass(frozen=True)
class TrainedModel:
    """What training made of the model.

    Attributes:
        state: the record of every epoch, and which was best.
        logits: (E, N, K) of the validation images after every epoch.
        untrained: the weights as they were before, for the case that the probe stays.
        best: those of the best epoch, on top of `untrained`.
    """

    state: TrainingState
    logits: Float[np.ndarray, "E N K"]
    untrained: dict[str, Tensor]
    best: dict[str, Tensor]


def train_stages(
    run: RunFolder | RunPart,
    frozen: FrozenModel,
    images: FitImages,
    plan: FitPlan,
    settings: FitSettings,
    *,
    runtime: Runtime,
    emit: Emit,
) -> TrainedModel:
    """Train what the plan says, resuming what an interrupted run left; the model ends with its last weights.

    Args:
        run: holds caches and checkpoints in its work folder, and the journal.
        frozen: the model, its head already the probe.
        images: the image table.
        plan: at least one stage.
        settings: of the whole fit.
        runtime: in which the states of training views are computed.
        emit: receives progress.

    Raises:
        KeyboardInterrupt: Ctrl-C; a checkpoint has been written.
        TrainingFault: the loss was not finite several times in a row.
        SystemFault: the disk is full, a worker died, or memory does not suffice for one image.
    """
    chain = Chain(frozen.model.to(frozen.device))
    _use_checkpointing(chain, settings)
    untrained = weights_of(frozen.model, set(chain.parts))
    means = PassMeans(runtime, settings.pass_.batch_size_on(frozen.device), images.workers, emit)
    validation = Validation(images.labelled("val"), frozen.preprocessing, means.batch_size, images.workers)
    held_out = len(validation.images)
    sample = Validation(
        images.labelled("train", most=max(200, held_out), seed=settings.seed),
        frozen.preprocessing,
        means.batch_size,
        images.workers,
    )
    training = _training_images(frozen, images, plan, settings)
    job = TrainingJob(
        chain=chain,
        stages=plan.stages,
        training=training,
        validation=validation,
        sample=sample,
        caches=_caches(run, frozen, plan, training, validation, means),
        rule=StepRule(
            Normalise(frozen.preprocessing, frozen.device),
            plan.precision,
            settings.training.label_smoothing,
            settings.training.clip,
            frozen.device,
        ),
        portions=_portions(run, plan, settings),
        settings=settings.training,
        classes=tuple(images.classes),
        folder=run.work / "training",
        metrics=run.metrics,
    )
    with computing_threads(plan.threads):
        trained = train(job, emit=emit)
    logits = [read_logits(logits_file(job.folder, epoch + 1)) for epoch in range(trained.state.epochs)]
    return TrainedModel(trained.state, np.stack(logits), untrained, trained.best)


def use_weights(frozen: FrozenModel, trained: TrainedModel, *, tuned: bool) -> None:
    """Give the model the weights of the best epoch, or those it had before training; in evaluation mode, on the
    processor."""
    load_weights_of(frozen.model, trained.untrained)
    if tuned:
        load_weights_of(frozen.model, trained.best)
    freeze_below(Chain(frozen.model), 0)
    frozen.model.cpu().eval()


def answers_of(frozen: FrozenModel, images: FitImages, split: str, settings: FitSettings) -> Float[np.ndarray, "N K"]:
    """Logits of a split's images, exactly as the package will give them."""
    size = settings.pass_.batch_size_on(frozen.device)
    wanted = Validation(images.labelled(split), frozen.preprocessing, size, images.workers)
    return exact_logits(Chain(frozen.model), wanted, frozen.device)


def _training_images(frozen: FrozenModel, images: FitImages, plan: FitPlan, settings: FitSettings) -> TrainingImages:
    labelled, classes = images.labelled("train"), len(images.classes)
    balanced = settings.training.class_weights == "balanced"
    return TrainingImages(
        images=labelled,
        preprocessing=frozen.preprocessing,
        augmentation=settings.augmentation,
        class_weights=balanced_weights(labelled.labels, classes) if balanced else torch.ones(classes),
        images_per_step=plan.images_per_step,
        seed=settings.seed,
        workers=images.workers,
    )


def _caches(
    run: RunFolder | RunPart,
    frozen: FrozenModel,
    plan: FitPlan,
    training: TrainingImages,
    validation: Validation,
    means: PassMeans,
) -> dict[str, Caches]:
    """The caches of the stages that have one, the earliest cut first, so that later cuts are computed from it."""
    caches: dict[str, Caches] = {}
    before = Caches()
    judged = ViewedImages(validation.images.places, validation.images.ids, AS_JUDGED, 1, 0)
    exact = PassMeans(EXACT, means.batch_size, means.workers, means.emit)
    for stage in sorted((stage for stage in plan.stages if stage.cached), key=lambda stage: stage.cut):
        viewed = ViewedImages(
            training.images.places, training.images.ids, training.augmentation, stage.views or 1, training.seed
        )
        folder = run.work / f"cache-{stage.name}"
        before = caches[stage.name] = Caches(
            _from(before.training, frozen, stage.cut, viewed, folder / "train", means, storage=plan.storage),
            _from(before.validation, frozen, stage.cut, judged, folder / "val", exact, storage="float32"),
        )
    return caches


def _from(
    source: PrefixCache | None, frozen: FrozenModel, cut: int, viewed: ViewedImages, folder: Path, means: PassMeans,
    *, storage: Storage,
) -> PrefixCache:  # fmt: skip
    kept: Storage = "float32" if cut == Chain(frozen.model).pooled else storage  # pooled features take next to nothing
    return prefix_cache(frozen, cut, viewed, folder, means, storage=kept, source=source)


def _portions(run: RunFolder | RunPart, plan: FitPlan, settings: FitSettings) -> Portions:
    at_once = -(-plan.images_per_step // settings.training.accumulate)
    return Portions(at_once, run.all_noted("images_at_once"), run.note)


def _use_checkpointing(chain: Chain, settings: FitSettings) -> None:
    if not settings.training.gradient_checkpointing:
        return
    model: Any = chain.model
    if not hasattr(model, "set_grad_checkpointing"):
        raise InputError(
            f"{type(model).__name__} cannot compute its blocks twice", hint="leave --set gradient_checkpointing out"
        )
    model.set_grad_checkpointing(True)
