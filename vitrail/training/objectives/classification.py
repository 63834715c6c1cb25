"""Telling classes apart: cross-entropy against labels, judged by log loss at the best temperature."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.features.prefix_cache import PrefixCache
from vitrail.measures.calibration import fitted_temperature, log_losses
from vitrail.models.chain import Chain
from vitrail.models.inputs import Inputs, Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.training.batch import Batches
from vitrail.training.objectives.objective import Gathered, Judgement, Moment
from vitrail.training.objectives.supervised import summed_cross_entropy
from vitrail.training.precision import FLOAT32, TrainingPrecision
from vitrail.training.sources import HeldOut, TrainingData
from vitrail.training.stages import Stage
from vitrail.training.validation import exact_logits

LABELLED = "labelled"


@dataclass(frozen=True)
class Classification:
    """Cross-entropy on labelled images; see `Objective`.

    Attributes:
        training: the images.
        normalise: to the model's input; also says on which device steps are computed.
        classes: names in the order of the logits.
        label_smoothing: share of the target that is spread over all classes.
        caches: states of the training images' views, by stage.
    """

    training: TrainingData
    normalise: Normalise
    classes: tuple[str, ...]
    label_smoothing: float = 0.0
    caches: Mapping[str, PrefixCache | None] = field(default_factory=dict)
    modules: nn.Module = field(default_factory=nn.Module)
    divisible: bool = True
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one walk through the images."""
        return self.training.steps_per_epoch

    def batches(self, stage: Stage, *, first_step: int) -> Iterator[Batches]:
        """The labelled images of every step."""
        cache = self.caches.get(stage.name)
        return ({LABELLED: batch} for batch in self.training.batches(stage, first_step=first_step, cache=cache))

    def names(self, stage: Stage, step: int) -> list[str]:
        """What the images of a step are called."""
        return self.training.names(stage, step)

    def loss(
        self, chain: Chain, batches: Batches, *, at: Moment, precision: TrainingPrecision
    ) -> tuple[Float[Tensor, ""], Gathered]:
        """The images' share in the weighted mean cross-entropy of the step."""
        batch, device = batches[LABELLED], self.normalise.device
        assert batch.labels is not None
        (given,) = batch.inputs
        logits = logits_of(chain, given, self.normalise, trained_from=at.trained_from, precision=precision)
        labels, weights = batch.labels.to(device), batch.weights.to(device)
        summed = summed_cross_entropy(logits, labels, weights, label_smoothing=self.label_smoothing)
        return summed / batch.total_weight.to(device), {}

    def after_step(self, chain: Chain, gathered: Gathered, *, at: Moment, applied: Float[Tensor, ""]) -> None:
        """Nothing is kept from step to step."""

    def judged(self, chain: Chain) -> Chain:
        """The model that is trained."""
        return chain

    def judge(self, chain: Chain, held_out: HeldOut, *, cache: PrefixCache | None = None) -> Judgement:
        """Log loss and accuracy; the score is the log loss at its best temperature, which can be mended afterwards."""
        logits, labels = exact_logits(chain, held_out, self.normalise.device, cache=cache), held_out.labels
        if not np.isfinite(logits).all():
            return Judgement(float("nan"), float("nan"), logits=logits)
        _, softened = fitted_temperature(logits, labels)
        loss = float(log_losses(logits, labels).mean())
        right = float((logits.argmax(axis=1) == labels).mean())
        figures: dict[str, float | int] = {"validation_loss": loss, "validation_accuracy": right, "n": len(labels)}
        return Judgement(softened, loss, figures, logits, self._warnings(logits, labels))

    def _warnings(self, logits: np.ndarray, labels: np.ndarray) -> tuple[str, ...]:
        answers = np.unique(logits.argmax(axis=1))
        if len(answers) > 1 or len(np.unique(labels)) == 1:
            return ()
        name = self.classes[int(answers[0])]
        return (f"every validation image is called {name!r}: the learning rate is probably too high",)


def logits_of(
    chain: Chain, given: Inputs, normalise: Normalise, *, trained_from: int, precision: TrainingPrecision
) -> Float[Tensor, "B K"]:
    """Logits of images; see `states_of`."""
    return states_of(chain, given, normalise, chain.logits, trained_from=trained_from, precision=precision)


def states_of(
    chain: Chain, given: Inputs, normalise: Normalise, until: int, *, trained_from: int, precision: TrainingPrecision
) -> Float[Tensor, " B *state"]:
    """What stands at place `until` (at or behind `trained_from`) of the chain, with gradients for what is trained; what
    stands before it is run without.

    A classifier alone costs nothing: it is trained exactly, whatever the precision.
    """
    x = normalise.inputs(given)
    start = 0 if isinstance(given, Pixels) else given.place
    frozen_until = trained_from if chain.can_cut(trained_from) else start
    with precision.applied(chain.model, normalise.device), torch.no_grad():
        x = chain.run(x, start, frozen_until)
    exact = FLOAT32 if frozen_until == chain.pooled else precision
    with exact.applied(chain.model, normalise.device):
        return chain.run(x.float(), frozen_until, until)
