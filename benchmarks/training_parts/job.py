"""What the parts share: a real model with real images, a training run of it, and a clock that listens to that run."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch

import vitrail
from vitrail.basics.devices import chosen_device
from vitrail.basics.events import Event, WorkAdvanced
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.columns import LabelledImages, in_split, labels_of, places_of
from vitrail.data.loader import pixel_batches
from vitrail.data.workers import usable_cores
from vitrail.models.catalogue import build_model
from vitrail.models.chain import Chain
from vitrail.models.model_settings import ModelSettings
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.training.batches import TrainingImages
from vitrail.training.loop import TrainingJob
from vitrail.training.out_of_memory import Portions
from vitrail.training.parameter_groups import freeze_below
from vitrail.training.precision import TrainingPrecision, agreeing_step, measure_steps
from vitrail.training.records import EpochDone
from vitrail.training.settings import TrainingSettings
from vitrail.training.stage_caches import Caches
from vitrail.training.stages import Stage
from vitrail.training.step import Batch, StepRule, loss_of
from vitrail.training.tried_steps import MEASURED_IMAGES
from vitrail.training.validation import Validation

CPU = chosen_device("cpu")
CLASSES = ("ants", "bees")


@dataclass(frozen=True)
class Bench:
    """A model, the images it is trained on, and the precision of its steps that was measured to be the fastest."""

    frozen: ReadyModel
    chain: Chain
    training: TrainingImages
    precision: TrainingPrecision

    def rule(self) -> StepRule:
        """With the default settings."""
        settings = TrainingSettings()
        normalise = Normalise(self.frozen.preprocessing, CPU)
        return StepRule(normalise, self.precision, settings.label_smoothing, settings.clip, CPU)

    def job(self, stage: Stage, folder: Path, *, caches: Caches | None = None) -> TrainingJob:
        """One stage with the default settings, judged by a single image, which this process reads itself: the workers
        shall not get ahead while it does."""
        images, training = self.training.images, self.training
        single = LabelledImages(images.places[:1], images.ids[:1], images.labels[:1])
        validation = Validation(single, self.frozen.preprocessing, 1, 0)
        return TrainingJob(
            chain=self.chain,
            stages=(stage,),
            training=training,
            validation=validation,
            sample=validation,
            caches={stage.name: caches} if caches else {},
            rule=self.rule(),
            portions=Portions(training.images_per_step, [], lambda *_, **__: None),
            settings=TrainingSettings(),
            classes=CLASSES,
            folder=folder,
            metrics=folder / "metrics.jsonl",
        )


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
        top_blocks: the precision is measured for a step that trains so many; None: all.
    """
    built = build_model(
        ModelSettings.parse(name=f"local-dir:{real_data() / 'vit_tiny_in1k'}"), num_classes=len(CLASSES)
    )
    rows = vitrail.check(real_data() / "hymenoptera").table
    rows = in_split(rows.filter(pc.field("format") == "JPEG"), "train").slice(0, images)
    frozen, chain = ReadyModel(built.model, built.preprocessing, built.weights_sha256, CPU), Chain(built.model)
    training = TrainingImages(
        images=LabelledImages(places_of(rows), rows["id"].to_pylist(), labels_of(rows, list(CLASSES))),
        preprocessing=built.preprocessing,
        augmentation=AugmentationSettings(),
        class_weights=torch.ones(len(CLASSES)),
        images_per_step=images_per_step,
        seed=0,
        workers=usable_cores(),
    )
    return Bench(frozen, chain, training, _precision(frozen, chain, rows, top_cut(chain, top_blocks)))


def top_cut(chain: Chain, blocks: int | None) -> int:
    """The place before the last `blocks` blocks; 0 for None."""
    places = chain.order.blocks
    return places[-blocks] if blocks else 0


def _precision(frozen: ReadyModel, chain: Chain, rows: pa.Table, trained_from: int) -> TrainingPrecision:
    """As a fit chooses it: on a few of the images."""
    count = MEASURED_IMAGES["cpu"]
    pixels = next(pixel_batches(places_of(rows)[:count], frozen.preprocessing, batch_size=count, workers=0))
    batch = Batch(pixels, 0, torch.arange(count) % 2, torch.ones(count))
    return chosen_precision(chain, batch, Normalise(frozen.preprocessing, CPU), trained_from=trained_from)


def chosen_precision(chain: Chain, batch: Batch, normalise: Normalise, *, trained_from: int) -> TrainingPrecision:
    """The precision in which a fit would compute steps on this batch."""
    freeze_below(chain, trained_from)
    trials = measure_steps(
        chain.model,
        lambda candidate: loss_of(
            chain, batch, StepRule(normalise, candidate, 0.0, 0.0, CPU), trained_from=trained_from
        ),
        CPU,
    )
    return agreeing_step(trials).precision
