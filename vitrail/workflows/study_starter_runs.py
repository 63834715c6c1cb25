"""One run of `vitrail study starter`: a network that begins in one way and is trained whole on few images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from timm.models.vision_transformer import VisionTransformer

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit
from vitrail.basics.seeds import derived_seed
from vitrail.data.checked_files import checked_places
from vitrail.data.columns import in_split, labels_of
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.catalogue import BuiltModel, ModelSettings, build_model
from vitrail.models.mimetic import mimetic_initialisation
from vitrail.training.scratch import ScratchSettings, as_input, train_from_scratch
from vitrail.workflows.study_starter_settings import StarterStudySettings

STARTER, MIMETIC, SCRATCH, REFERENCE = "starter", "mimetic", "scratch", "reference"
AT_ONCE = 256
"""Images of one forward pass that judges."""


@dataclass(frozen=True)
class Pictures:
    """All images of a data set in memory, by their id: pixels (H, W, 3)."""

    pixels: Mapping[str, np.ndarray]
    classes: list[str]

    def of(self, rows: pa.Table) -> np.ndarray:
        """Pixels (N, H, W, 3) of these rows, in their order."""
        return np.stack([self.pixels[identity] for identity in rows["id"].to_pylist()])


def read_pictures(rows: pa.Table, preprocessing: Preprocessing, *, workers: int) -> Pictures:
    """Decode every image of the table once.

    Raises:
        UnreadableImageError: an image cannot be decoded.
    """
    batches = pixel_batches(checked_places(rows), preprocessing, batch_size=AT_ONCE, workers=workers)
    pixels = np.concatenate(list(batches))
    return Pictures(dict(zip(rows["id"].to_pylist(), pixels, strict=True)), sorted(set(rows["label"].to_pylist())))


def begun(arm: str, settings: StarterStudySettings, *, classes: int, seed: int) -> BuiltModel:
    """The network as an arm begins: with the studied weights, mimetic weights, timm's own or those of the reference.

    The classifier is timm's own in every arm. One of zeros would be a handicap for random weights: mimetic ones reached
    46 instead of 86 % on 400 digits within 12 epochs.

    Raises:
        InputError: mimetic weights are asked for a network that is no plain ViT.
    """
    name = settings.reference if arm == REFERENCE and settings.reference else settings.model
    chosen = ModelSettings(name=name, image_size=settings.image_size, pretrained=arm in (STARTER, REFERENCE))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        built = build_model(chosen, num_classes=classes)
        if arm == MIMETIC:
            if not isinstance(built.model, VisionTransformer):
                raise InputError(
                    f"{settings.model} is {type(built.model).__name__}, a plain ViT was expected",
                    hint=f"leave --model out to study {STARTER}",
                )
            mimetic_initialisation(built.model)
    return built


def trained_logits(
    built: BuiltModel, pictures: Pictures, rows: tuple[pa.Table, pa.Table], settings: StarterStudySettings, *,
    rate: float, seed: int, emit: Emit,
) -> np.ndarray:  # fmt: skip
    """Train on the first table's images, and answer (N, K) about the second's."""
    training, judged = (_inputs(pictures.of(part), built) for part in rows)
    how = ScratchSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=rate,
        weight_decay=settings.weight_decay,
        most_shift_pixels=settings.image_size // 16,
        bfloat16=settings.bfloat16,
    )
    labels: Any = torch.from_numpy(labels_of(rows[0], pictures.classes))
    model = train_from_scratch(built.model, training, labels, how, seed=seed, emit=emit)
    with torch.inference_mode():
        return torch.cat([model(part) for part in judged.split(AT_ONCE)]).numpy()


def few(rows: pa.Table, settings: StarterStudySettings, *, seed: int) -> pa.Table:
    """The training images that a run may use.

    Raises:
        InputError: there are fewer than were asked for, or classes without any would remain.
    """
    training = in_split(rows, "train")
    labels = np.array(training["label"].to_pylist())
    rank, size = _ranks(labels, np.random.default_rng(derived_seed(seed, "few")))
    if settings.labels_per_class is not None:
        return training.take(np.flatnonzero(rank < settings.labels_per_class))
    if settings.train is None:
        return training
    if not len(set(labels)) <= settings.train <= len(labels):
        raise InputError(
            f"{settings.train} training images were asked for; there are {len(labels)} of {len(set(labels))} classes",
            hint=f"--train {len(labels) // 2}, or leave it out",
        )
    # First an image of every class, then in proportion.
    order = np.lexsort(((rank + 0.5) / size, rank > 0))
    return training.take(np.sort(order[: settings.train]))


def divided(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Four fifths of the training images, and the fifth by which a rate is chosen."""
    rank, size = _ranks(np.array(rows["label"].to_pylist()), np.random.default_rng(0))
    choosing = (rank + 0.5) / size > 0.8
    return rows.filter(pa.array(~choosing)), rows.filter(pa.array(choosing))


def _ranks(labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Every image's place in a random order of its class, from 0, and how many that class has."""
    rank, size = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members], size[members] = generator.permutation(len(members)), len(members)
    return rank, size


def _inputs(pixels: np.ndarray, built: BuiltModel) -> torch.Tensor:
    return as_input(pixels, built.preprocessing.mean, built.preprocessing.std)
