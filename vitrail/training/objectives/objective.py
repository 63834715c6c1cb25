"""What training minimises, and how an epoch is judged. The loop knows steps; an objective knows what they mean."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.features.prefix_cache import PrefixCache
from vitrail.models.chain import Chain
from vitrail.training.batch import Batches
from vitrail.training.precision import TrainingPrecision
from vitrail.training.sources import HeldOut
from vitrail.training.stages import Stage

Gathered = Mapping[str, Tensor]
"""What a step's parts leave behind for `after_step`, by name, on the device; added up over the parts."""


@dataclass(frozen=True)
class Moment:
    """When something happens.

    Attributes:
        stage: which.
        step: within the stage, from 0.
        epoch: within the stage, from 0.
        share: of the run's steps that were done before, 0-1.
    """

    stage: Stage
    step: int
    epoch: int
    share: float

    @property
    def trained_from(self) -> int:
        """The place in the model's chain behind which parameters are trained now."""
        return self.stage.trained_from(self.epoch)


@dataclass(frozen=True)
class Judgement:
    """How far a model is, on held-out images.

    Attributes:
        score: lower is better; the epoch with the lowest is the best one. Not finite: the model is lost.
        loss: mean over the images, as the training loss would be without augmentation.
        figures: everything that is told and kept of an epoch, by name, with `n`, how many images they rest on.
        logits: what was answered, where the images chose among epochs; None where there are no classes.
        warnings: sentences for the person who watches.
    """

    score: float
    loss: float
    figures: Mapping[str, float | int] = field(default_factory=dict)
    logits: Float[np.ndarray, "N K"] | None = None
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Objective(Protocol):
    """That which is minimised. Everything it does in a step is a function of seed, stage and step alone."""

    @property
    def modules(self) -> nn.Module:
        """What is trained or changed beside the model (projector, decoder, averaged copy): it is in the checkpoint.

        Parameters that ask for a gradient are optimised at the rate of the last layer.
        """

    @property
    def divisible(self) -> bool:
        """Whether the loss is a sum over images, so that a step may be computed in parts."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Names what the objective only reads, a frozen teacher say: a run is not continued with another one."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps between two judgements."""

    def batches(self, stage: Stage, *, first_step: int) -> Iterator[Batches]:
        """What the stage's steps are made of, from `first_step` on, in order."""

    def names(self, stage: Stage, step: int) -> list[str]:
        """What the images of a step are called, for a message."""

    def loss(
        self, chain: Chain, batches: Batches, *, at: Moment, precision: TrainingPrecision
    ) -> tuple[Float[Tensor, ""], Gathered]:
        """The share of these images in the step's loss: parts of a step add up. What is frozen gets no gradient."""

    def after_step(self, chain: Chain, gathered: Gathered, *, at: Moment, applied: Float[Tensor, ""]) -> None:
        """Once behind every step, its parts added up.

        Args:
            chain: the model as the step left it.
            gathered: what its parts left behind; of a skipped step it may not be finite.
            at: of the step.
            applied: 1, or 0 where the step was skipped because its gradient was not finite, and nothing may change. It
                is on the device: nothing waits for it.
        """

    def judged(self, chain: Chain) -> Chain:
        """The model whose weights are judged, kept and packaged: the trained one, or an average of it."""

    def judge(self, chain: Chain, held_out: HeldOut, *, cache: PrefixCache | None = None) -> Judgement:
        """How far a model is.

        Args:
            chain: of `judged`.
            held_out: the images.
            cache: their states at the stage's cut; None: the images themselves.
        """
