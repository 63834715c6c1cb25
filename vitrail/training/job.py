"""Everything that a training run is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vitrail.features.prefix_cache import PrefixCache
from vitrail.models.chain import Chain
from vitrail.training.objectives.objective import Objective
from vitrail.training.optimization_settings import OptimizationSettings
from vitrail.training.out_of_memory import Portions
from vitrail.training.precision import TrainingPrecision
from vitrail.training.sources import HeldOut
from vitrail.training.stages import Stage


@dataclass(frozen=True)
class TrainingJob:
    """Model, stages, what they minimise, and how their steps are computed.

    Attributes:
        chain: the model, as it begins.
        stages: in order.
        objectives: what stages minimise, by the name under which they ask for it.
        validation: the images that judge an epoch.
        sample: some training images, for the loss measured as validation is.
        settings: how steps are computed.
        precision: in which arithmetic.
        portions: how many images are computed at once.
        device: where.
        seed: of whatever in a step is drawn by lot.
        folder: for checkpoints and the validation logits of every epoch.
        metrics: the file that every record is appended to.
        judged_from: states of the validation images at the cut, by stage.
        also_measured: what else is measured of the model after every epoch, shares by name.
        keep_logits: whether the validation logits of every epoch stay on disk; only where every objective gives them.
        rank: of this process among those that compute a step together.
    """

    chain: Chain
    stages: tuple[Stage, ...]
    objectives: Mapping[str, Objective]
    validation: HeldOut
    sample: HeldOut
    settings: OptimizationSettings
    precision: TrainingPrecision
    portions: Portions
    device: torch.device
    seed: int
    folder: Path
    metrics: Path
    judged_from: Mapping[str, PrefixCache | None] = field(default_factory=dict)
    also_measured: Mapping[str, Callable[[Chain], float]] = field(default_factory=dict)
    keep_logits: bool = True
    rank: int = 0

    def objective(self, stage: Stage) -> Objective:
        """What a stage minimises."""
        return self.objectives[stage.objective]

    def total_steps(self, stages: int | None = None) -> int:
        """Steps of the first so many stages; None: of all."""
        return sum(stage.epochs * self.objective(stage).steps_per_epoch for stage in self.stages[:stages])
