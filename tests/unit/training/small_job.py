"""Small training jobs on a few pictures, for the tests of this room."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from tests.conftest import picture
from vitrail.basics.events import Emit, nobody
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.columns import LabelledImages
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.feature_pass import PassMeans
from vitrail.features.prefix_cache import AS_JUDGED, ViewedImages, prefix_cache
from vitrail.models.chain import Chain
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.training.batch import Batches
from vitrail.training.batches import TrainingImages
from vitrail.training.job import TrainingJob
from vitrail.training.logits_file import logits_file
from vitrail.training.loop import Trained, train
from vitrail.training.objectives.classification import Classification
from vitrail.training.objectives.objective import Gathered, Moment
from vitrail.training.out_of_memory import Portions
from vitrail.training.precision import FLOAT32, TrainingPrecision
from vitrail.training.settings import TrainingSettings
from vitrail.training.stage_caches import Caches
from vitrail.training.stages import CLASSIFICATION, Stage, planned_stages
from vitrail.training.validation import Validation

CPU = torch.device("cpu")
PIXELS = 16

THREE_STAGES: dict[str, Any] = {
    "stages": "head,top,all", "head_epochs": 1, "top_epochs": 3, "all_epochs": 1, "unfreeze": 3, "cache": "off",
    "checkpoint_seconds": 0, "learning_rate": 1e-2, "head_learning_rate": 1e-2, "warmup_fraction": 0.3,
}  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures on disk: those that train and those that validate."""

    train: LabelledImages
    val: LabelledImages
    preprocessing: Preprocessing


def pictures(folder: Path, *, train: int = 10, val: int = 5, pixels: int = PIXELS) -> Pictures:
    """Pictures of two classes that differ in hue."""
    folder.mkdir(parents=True, exist_ok=True)

    def written(prefix: str, count: int, seed: int) -> LabelledImages:
        labels = np.arange(count) % 2
        paths = [folder / f"{prefix}{index}.png" for index in range(count)]
        for index, path in enumerate(paths):
            picture(seed + index, size=(24, 20), hue=int(labels[index])).save(path)
        return LabelledImages([(str(path), 0) for path in paths], [f"{prefix}{i}" for i in range(count)], labels)

    preprocessing = Preprocessing(height=pixels, width=pixels, crop_fraction=1.0)
    return Pictures(written("train", train, 0), written("val", val, 1000), preprocessing)


def tiny_vit(*, drop_path: float = 0.0, depth: int = 3, **arguments: Any) -> nn.Module:
    """A ViT of width 24 for pictures of 16 pixels."""
    torch.manual_seed(0)
    size = {"img_size": PIXELS, "patch_size": 8, "embed_dim": 24, "num_heads": 2, "depth": depth, **arguments}
    return timm.create_model("vit_tiny_patch16_224", **size, num_classes=2, drop_path_rate=drop_path).eval()


def tiny_resnet() -> nn.Module:
    """A ResNet of four narrow blocks, with batch norms."""
    torch.manual_seed(0)
    return timm.models.resnet.ResNet(
        timm.models.resnet.BasicBlock, (1, 1, 1, 1), num_classes=2, channels=(8, 8, 12, 16), stem_width=8
    ).eval()


def training_images(images: Pictures, *, per_step: int = 4, seed: int = 0, **changed: Any) -> TrainingImages:
    values: dict[str, Any] = {"class_weights": torch.ones(2), "augmentation": AugmentationSettings(), **changed}
    images_and_size = {"images": images.train, "preprocessing": images.preprocessing}
    return TrainingImages(**images_and_size, images_per_step=per_step, seed=seed, workers=0, **values)


def caches_of(model: nn.Module, stages: tuple[Stage, ...], training: TrainingImages, held_out: LabelledImages,
              folder: Path) -> dict[str, Caches]:  # fmt: skip
    """Float32 caches of the stages that ask for one, each computed from the pictures."""
    frozen, means = ReadyModel(model, training.preprocessing, "", CPU), PassMeans(EXACT, 4)
    found = {}
    for stage in stages:
        if stage.cached:
            viewed = ViewedImages(
                training.images.places, training.images.ids, training.augmentation, stage.views or 1, training.seed
            )
            judged = ViewedImages(held_out.places, held_out.ids, AS_JUDGED, 1, 0)
            place = folder / f"cache-{stage.name}"
            found[stage.name] = Caches(
                prefix_cache(frozen, stage.cut, viewed, place / "train", means, storage="float32"),
                prefix_cache(frozen, stage.cut, judged, place / "val", means, storage="float32"),
            )
    return found


@dataclass(frozen=True)
class Outcome:
    """What a run left: the model's last weights, what training returned, and the journal's lines."""

    weights: Mapping[str, torch.Tensor]
    trained: Trained
    logits: list[np.ndarray]


def prepared_job(
    model: nn.Module, images: Pictures, folder: Path, *, journal: list[dict[str, Any]] | None = None, **changed: Any
) -> TrainingJob:
    """A job on a copy of `model`; `changed` are settings that differ from `THREE_STAGES`."""
    settings = TrainingSettings.parse(**{**THREE_STAGES, **changed})
    chain, training = Chain(copy.deepcopy(model)), training_images(images)
    stages = planned_stages(settings, chain, images=len(images.train))
    lines = [] if journal is None else journal
    folder.mkdir(parents=True, exist_ok=True)

    def note(kind: str, **facts: Any) -> None:
        lines.append({"kind": kind, **facts})

    caches = caches_of(chain.model, stages, training, images.val, folder)
    objective = Classification(
        training,
        Normalise(images.preprocessing, CPU),
        ("red", "green"),
        settings.label_smoothing,
        {stage: cache.training for stage, cache in caches.items()},
    )
    return TrainingJob(
        chain=chain,
        stages=stages,
        objectives={CLASSIFICATION: objective},
        validation=Validation(images.val, images.preprocessing, 4, 0),
        sample=Validation(images.train, images.preprocessing, 4, 0),
        settings=settings,
        precision=FLOAT32,
        portions=Portions(-(-training.images_per_step // settings.accumulate), list(lines), note),
        device=CPU,
        seed=training.seed,
        judged_from={stage: cache.validation for stage, cache in caches.items()},
        folder=folder / "training",
        metrics=folder / "metrics.jsonl",
    )  # fmt: skip


def outcome(job: TrainingJob, *, emit: Emit = nobody) -> Outcome:
    """Run or continue a job."""
    trained = train(job, emit=emit)
    logits = [np.load(logits_file(job.folder, epoch + 1)) for epoch in range(trained.state.epochs)]
    return Outcome(job.chain.model.state_dict(), trained, logits)


def assert_same(found: Outcome, expected: Outcome) -> None:
    """Byte for byte: weights and buffers, best weights, history, validation logits, final training loss."""
    assert found.weights.keys() == expected.weights.keys()
    different = [name for name, value in expected.weights.items() if not torch.equal(found.weights[name], value)]
    assert not different
    assert found.trained.state.history == expected.trained.state.history
    assert found.trained.state.final_training_loss == expected.trained.state.final_training_loss
    assert found.trained.state.best == expected.trained.state.best
    assert found.trained.changed == expected.trained.changed
    assert found.trained.best.keys() == expected.trained.best.keys()
    assert all(torch.equal(found.trained.best[name], value) for name, value in expected.trained.best.items())
    assert all(np.array_equal(one, other) for one, other in zip(found.logits, expected.logits, strict=True))


class Watched(Classification):
    """Classification whose losses can be looked at, or spoiled, as they are made.

    `around(loss, batches, at)` is called with every loss and gives the one that is used.
    """

    around: Callable[[torch.Tensor, Batches, Moment], torch.Tensor]

    def loss(
        self, chain: Chain, batches: Batches, *, at: Moment, precision: TrainingPrecision
    ) -> tuple[torch.Tensor, Gathered]:
        loss, gathered = super().loss(chain, batches, at=at, precision=precision)
        return self.around(loss, batches, at), gathered


def watched(job: TrainingJob, around: Callable[[torch.Tensor, Batches, Moment], torch.Tensor]) -> TrainingJob:
    """The job, its losses handed to `around`."""
    given = job.objectives[CLASSIFICATION]
    objective = Watched(**{part.name: getattr(given, part.name) for part in dataclasses.fields(given)})
    object.__setattr__(objective, "around", around)
    return dataclasses.replace(job, objectives={CLASSIFICATION: objective})
