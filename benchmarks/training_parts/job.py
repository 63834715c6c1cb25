"""What the parts share: a real model with real images, a training run of it, one step, and a clock that listens."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import torch

import vitrail
from vitrail.basics.devices import chosen_device
from vitrail.basics.events import Event, WorkAdvanced
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.columns import LabelledImages, in_split
from vitrail.data.split_images import SplitImages
from vitrail.data.workers import usable_cores
from vitrail.features.prefix_cache import PrefixCache
from vitrail.models.catalogue import build_model
from vitrail.models.chain import Chain
from vitrail.models.model_settings import ModelSettings
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.training.batch import Batch
from vitrail.training.batches import TrainingImages
from vitrail.training.job import TrainingJob
from vitrail.training.objectives.classification import LABELLED, Classification
from vitrail.training.objectives.objective import Moment
from vitrail.training.optimization_settings import OptimizationSettings
from vitrail.training.out_of_memory import Portions
from vitrail.training.parameter_groups import freeze_below, made_optimizer, set_rates
from vitrail.training.precision import TrainingPrecision, agreeing_step, measure_steps, tried_precisions
from vitrail.training.records import EpochDone
from vitrail.training.settings import TrainingSettings
from vitrail.training.sources import TrainingData
from vitrail.training.stages import CLASSIFICATION, Stage
from vitrail.training.step import StepRule, train_step
from vitrail.training.tried_steps import tried_steps
from vitrail.training.validation import Validation

CPU = chosen_device("cpu")
CLASSES = ["ants", "bees"]
WHOLE = Stage("all", 1, 1e-4, 0, 0, None, cached=False)
"""One epoch of the whole network."""


@dataclass(frozen=True)
class Bench:
    """A model, the images it is trained on, and the precision that a fit would take for its steps."""

    ready: ReadyModel
    training: TrainingImages
    precision: TrainingPrecision

    @property
    def single(self) -> Validation:
        """The image that judges: only one, which this process reads itself, so that the workers do not get ahead."""
        images = self.training.images
        return Validation(
            LabelledImages(images.places[:1], images.ids[:1], images.labels[:1]), self.ready.preprocessing, 1, 0
        )

    def job(self, stage: Stage, folder: Path, *, cache: PrefixCache | None = None) -> TrainingJob:
        """One stage with the default settings."""
        normalise = Normalise(self.ready.preprocessing, CPU)
        objective = Classification(self.training, normalise, tuple(CLASSES), caches={stage.name: cache})
        return TrainingJob(
            chain=self.ready.chain,
            stages=(stage,),
            objectives={CLASSIFICATION: objective},
            validation=self.single,
            sample=self.single,
            settings=TrainingSettings(),
            precision=self.precision,
            portions=Portions(self.training.images_per_step, [], lambda *_, **__: None),
            device=CPU,
            seed=self.training.seed,
            folder=folder,
            metrics=folder / "metrics.jsonl",
        )


@dataclass(frozen=True)
class SameBatch:
    """The same images in every step; see `TrainingData`."""

    batch: Batch
    seed: int = 0
    steps_per_epoch: int = 1

    def batches(self, stage: Stage, *, first_step: int, cache: PrefixCache | None) -> Iterator[Batch]:
        """Without end."""
        return itertools.repeat(self.batch)

    def names(self, stage: Stage, step: int) -> list[str]:
        """They have none."""
        return []


class StepClock:
    """Listens to a training run: seconds from `started` to the end of every step, without what validation took."""

    def __init__(self) -> None:
        self.started = self._last = time.perf_counter()
        self._validating = 0.0
        self.marks: list[float] = []

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.perf_counter() - self.started

    def __call__(self, event: Event) -> None:
        """Receive an event of `train`."""
        now = time.perf_counter()
        if isinstance(event, EpochDone):
            self._validating += now - self._last
        elif isinstance(event, WorkAdvanced) and event.work.startswith("stage") and event.by:
            self.marks.append(now - self.started - self._validating)
            self._last = now


def real_data() -> Path:
    """The folder that VITRAIL_REAL_DATA names."""
    place = os.environ.get("VITRAIL_REAL_DATA")
    if place is None:
        raise SystemExit("VITRAIL_REAL_DATA is not set: this part needs the folder with the real images and weights")
    return Path(place)


def real_bench(*, images: int | None, images_per_step: int, top_blocks: int | None = None) -> Bench:
    """The pretrained ViT-Ti with the training photographs of hymenoptera.

    Args:
        images: how many; None takes all of them.
        images_per_step: of a training step.
        top_blocks: the precision is chosen for a step that trains so many; None: all.
    """
    settings = ModelSettings.parse(name=f"local-dir:{real_data() / 'vit_tiny_in1k'}")
    ready = build_model(settings, num_classes=len(CLASSES))
    rows = vitrail.check(real_data() / "hymenoptera").table
    rows = in_split(rows.filter(pc.field("format") == "JPEG"), "train").slice(0, images)
    there = SplitImages(rows, CLASSES, usable_cores())
    training = TrainingImages(
        images=there.labelled("train"),
        preprocessing=ready.preprocessing,
        augmentation=AugmentationSettings(),
        class_weights=torch.ones(len(CLASSES)),
        images_per_step=images_per_step,
        seed=0,
        workers=there.workers,
    )
    trained = Stage("trained", 1, 1e-4, top_cut(ready.chain, top_blocks), 0, None, cached=False)
    return Bench(ready, training, tried_steps(ready, (trained,), there, TrainingSettings())[0])


def top_cut(chain: Chain, blocks: int | None) -> int:
    """The place before the last `blocks` blocks; 0 for None."""
    places = chain.order.blocks
    return places[-blocks] if blocks else 0


def chosen_precision(chain: Chain, objective: Classification, batch: Batch) -> TrainingPrecision:
    """The precision in which a fit would compute steps of the whole network, found on this batch."""
    freeze_below(chain, 0)

    def loss(candidate: TrainingPrecision) -> torch.Tensor:
        return objective.loss(chain, {LABELLED: batch}, at=Moment(WHOLE, 0, 0, 0.0), precision=candidate)[0]

    return agreeing_step(measure_steps(chain.model, loss, CPU, candidates=tried_precisions("auto", CPU))).precision


def whole_step(
    chain: Chain, objective: Classification, precision: TrainingPrecision, settings: OptimizationSettings
) -> Callable[[Batch], None]:
    """A step of the whole network at a steady rate, as the loop takes it, but for what the loop does around it."""
    optimizer = made_optimizer(chain, settings)
    rule = StepRule(precision, precision.loss_scale(CPU), settings.clip, CPU)
    freeze_below(chain, 0)
    set_rates(optimizer, settings.peak_rate, 1.0)

    def step(batch: Batch) -> None:
        train_step(
            chain, optimizer, objective, {LABELLED: batch}, rule, at=Moment(WHOLE, 0, 0, 0.0), most_at_once=len(batch)
        )

    return step


def labelled_objective(data: TrainingData, normalise: Normalise, settings: OptimizationSettings) -> Classification:
    """What a fit minimises with these settings."""
    return Classification(data, normalise, (), settings.label_smoothing)
