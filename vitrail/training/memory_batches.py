"""The batches of small trainings: pictures that all lie in memory, each shifted a little in every step."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from vitrail.basics.seeds import derived_seed
from vitrail.features.prefix_cache import PrefixCache
from vitrail.models.inputs import Pixels
from vitrail.training.batch import Batch
from vitrail.training.stages import Stage


@dataclass(frozen=True)
class MemoryBatches:
    """Pictures in memory, and how steps are made of them; see `TrainingData`.

    Every epoch walks through all of them in a new order; its last step may have fewer.

    Attributes:
        pixels: all pictures.
        labels: class numbers.
        ids: what the pictures are called.
        images_per_step: of every step but the last of an epoch.
        most_shift_pixels: pictures are shifted by up to so many pixels in each direction.
        seed: of order and shifts.
    """

    pixels: UInt8[Tensor, "N H W C"]
    labels: Int[Tensor, "N"]
    ids: list[str]
    images_per_step: int
    most_shift_pixels: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one walk through the pictures."""
        return math.ceil(len(self.labels) / self.images_per_step)

    def batches(self, stage: Stage, *, first_step: int, cache: PrefixCache | None) -> Iterator[Batch]:
        """The batches of a stage's steps; earlier steps are drawn by lot again, which costs next to nothing."""
        return itertools.starmap(self._batch, itertools.islice(self._drawn(stage.epochs), first_step, None))

    def names(self, stage: Stage, step: int) -> list[str]:
        """Ids of the pictures of a step."""
        rows, _ = next(itertools.islice(self._drawn(stage.epochs), step, None))
        return [self.ids[row] for row in rows.tolist()]

    def _drawn(self, epochs: int) -> Iterator[tuple[Int[Tensor, "B"], Int[Tensor, "B 2"]]]:
        """Rows and offsets (down, right) of every step."""
        dice, most = torch.Generator().manual_seed(derived_seed(self.seed, "scratch")), self.most_shift_pixels
        for _ in range(epochs):
            for rows in torch.randperm(len(self.labels), generator=dice).split(self.images_per_step):
                still = torch.zeros(len(rows), 2, dtype=torch.long)
                yield rows, torch.randint(-most, most + 1, (len(rows), 2), generator=dice) if most else still

    def _batch(self, rows: Int[Tensor, "B"], offsets: Int[Tensor, "B 2"]) -> Batch:
        inputs = (Pixels(shifted(self.pixels[rows], offsets)),)
        return Batch(inputs, np.asarray(rows), torch.ones(len(rows)), self.labels[rows])


def shifted(pixels: UInt8[Tensor, "B H W C"], offsets: Int[Tensor, "B 2"]) -> UInt8[Tensor, "B H W C"]:
    """What is seen of every picture from a place so many pixels further down and right; its border is repeated."""
    height, width = pixels.shape[1:3]
    rows = (offsets[:, 0, None] + torch.arange(height)).clamp(0, height - 1)
    columns = (offsets[:, 1, None] + torch.arange(width)).clamp(0, width - 1)
    return pixels[torch.arange(len(pixels))[:, None, None], rows[:, :, None], columns[:, None, :]]
