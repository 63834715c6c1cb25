"""Which images make which step, and how they get there: decoded and augmented now, or from the prefix cache."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitrail.basics.seeds import derived_seed
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.columns import AnyPlace, LabelledImages
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.training_views import view_batches
from vitrail.features.prefix_cache import PrefixCache, view_seed
from vitrail.models.inputs import Inputs, Pixels
from vitrail.training.batch import Batch
from vitrail.training.stages import Stage


@dataclass(frozen=True)
class TrainingImages:
    """The training images, how views of them are drawn, and how much each image counts."""

    images: LabelledImages
    preprocessing: Preprocessing
    augmentation: AugmentationSettings
    class_weights: Float[Tensor, "K"]
    images_per_step: int
    seed: int
    workers: int
    image_weights: Float[Tensor, "N"] | None = None
    """How much each image counts, where it is not its class that says so."""

    @property
    def steps_per_epoch(self) -> int:
        """The last step of an epoch may have fewer images."""
        return -(-len(self.images) // self.images_per_step)

    def step_images(self, stage: Stage, step: int) -> Int[np.ndarray, "B"]:
        """Which images make a step: a function of seed, stage and step alone."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = shuffled(self.seed, stage.name, epoch, len(self.images))
        return order[position * self.images_per_step : (position + 1) * self.images_per_step]

    def view_number(self, stage: Stage, epoch: int, image: int) -> int:
        """Which view of an image an epoch shows: each fixed view in turn, or one that no other epoch has."""
        if stage.views is None:
            return derived_seed(0, "fresh", stage.name, epoch)
        return (epoch + image) % stage.views

    def _view_numbers(self, stage: Stage, step: int) -> Int[np.ndarray, "B"]:
        epoch = step // self.steps_per_epoch
        return np.array([self.view_number(stage, epoch, int(image)) for image in self.step_images(stage, step)])

    def names(self, stage: Stage, step: int) -> list[str]:
        """Paths of the images of a step."""
        return [self.images.places[image][0] for image in self.step_images(stage, step)]

    def batches(self, stage: Stage, *, first_step: int, cache: PrefixCache | None) -> Iterator[Batch]:
        """The batches of a stage's steps; see `TrainingData`. Without a cache, worker processes decode and augment."""
        steps = range(first_step, stage.epochs * self.steps_per_epoch)
        if cache is not None:
            for step in steps:
                images, views = self.step_images(stage, step), self._view_numbers(stage, step)
                yield _batch(self, cache.inputs(views * cache.images + images), images, views)
            return
        total = stage.epochs * self.steps_per_epoch
        for size, of_size in itertools.groupby(steps, key=lambda step: stage.size_at(step, total)):
            yield from self._decoded(stage, [*of_size], size)

    def _decoded(self, stage: Stage, steps: list[int], size: int | None) -> Iterator[Batch]:
        sides = {} if size is None else {"height": size, "width": size}
        shown = self.preprocessing.model_copy(update=sides)
        views_of_steps = (_views(self, stage, step) for step in steps)
        pixels = view_batches(views_of_steps, shown, self.augmentation, workers=self.workers)
        for step, values in zip(steps, pixels, strict=True):
            images = self.step_images(stage, step)
            yield _batch(self, Pixels(values), images, self._view_numbers(stage, step))


def _views(training: TrainingImages, stage: Stage, step: int) -> list[tuple[AnyPlace, int]]:
    epoch = step // training.steps_per_epoch
    return [
        (
            training.images.places[image],
            view_seed(training.seed, training.images.ids[image], training.view_number(stage, epoch, int(image))),
        )
        for image in training.step_images(stage, step)
    ]


def _batch(training: TrainingImages, inputs: Inputs, images: np.ndarray, views: np.ndarray) -> Batch:
    labels = torch.from_numpy(training.images.labels[images])
    of_images = training.image_weights
    weights = training.class_weights[labels] if of_images is None else of_images[torch.from_numpy(images)]
    return Batch((inputs,), images, weights, labels, views)


@functools.lru_cache(maxsize=4)
def shuffled(seed: int, stage: str, epoch: int, count: int) -> Int[np.ndarray, "N"]:
    """The order of `count` images in an epoch."""
    return np.random.Generator(np.random.PCG64(derived_seed(seed, "shuffle", stage, epoch))).permutation(count)
