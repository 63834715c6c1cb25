"""What the training loop asks of the images it trains on, and of those that judge an epoch."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from jaxtyping import Int, UInt8
from numpy import ndarray

from vitrail.data.preprocessing import Preprocessing
from vitrail.features.prefix_cache import PrefixCache
from vitrail.training.batch import Batch
from vitrail.training.stages import Stage


@runtime_checkable
class TrainingData(Protocol):
    """That which is trained on; everything about a step is a function of seed, stage and step alone."""

    @property
    def seed(self) -> int:
        """Of the images of a step, and of whatever else in it is drawn by lot."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps between two validations."""

    def batches(self, stage: Stage, *, first_step: int, cache: PrefixCache | None) -> Iterator[Batch]:
        """The batches of a stage's steps from `first_step` on, in order.

        Args:
            stage: says how often, and which views.
            first_step: steps before it are left out, at no cost.
            cache: states at the stage's cut; None: the images themselves.
        """

    def names(self, stage: Stage, step: int) -> list[str]:
        """What the images of a step are called, for a message."""


@runtime_checkable
class HeldOut(Protocol):
    """Labelled images on which an epoch's figures are computed."""

    @property
    def labels(self) -> Int[ndarray, "N"]:
        """Class numbers."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels become a model's input."""

    @property
    def batch_size(self) -> int:
        """Images per forward pass."""

    def pixels(self) -> Iterator[UInt8[ndarray, "B H W C"]]:
        """All images, in the order of the labels, in batches of `batch_size`."""
