"""What training costs on this machine, and how many epochs fit into a time."""

import dataclasses
from dataclasses import dataclass

from vitrail.training.stages import Stage

BACKWARD_COST = 2.0
"""Operations of a backward pass, in forward passes."""

MOST_GROWTH = 3.0
"""A time budget makes stages at most so many times as long as they would be without one."""

SAFETY = 1.15
"""Estimates are taken so much longer when epochs are fitted into a time."""


@dataclass(frozen=True)
class Costs:
    """What the run costs on this machine, measured.

    Attributes:
        step_seconds: one image forward and backward through the whole network, in the precision of training.
        exact_seconds: one image forward through the whole network, in float32.
        groups: number of the model's layer groups; each is taken to cost the same.
    """

    step_seconds: float
    exact_seconds: float
    groups: int

    def stage_seconds(self, stage: Stage, *, images: int, validation_images: int) -> float:
        """Estimated seconds of a stage, with its cache and its validation."""
        forward = self.step_seconds / (1 + BACKWARD_COST) / self.groups
        frozen, trained = min(stage.cut, self.groups), max(0, self.groups - stage.cut)
        trained_cost = forward * trained * (1 + BACKWARD_COST)
        exact = self.exact_seconds / self.groups
        if not stage.cached:
            epoch = images * (forward * frozen + trained_cost) + validation_images * exact * self.groups
            return stage.epochs * epoch
        once = images * (stage.views or 1) * forward * frozen + validation_images * exact * frozen
        return once + stage.epochs * (images * trained_cost + validation_images * exact * trained)


def fitted_to_time(
    stages: tuple[Stage, ...], costs: Costs, *, seconds: float, images: int, validation_images: int
) -> tuple[Stage, ...]:
    """The stages with as many epochs as fit into `seconds`, in the proportions they had; stages that cannot are left
    out, the last one first."""

    def needed(candidate: tuple[Stage, ...]) -> float:
        each = (costs.stage_seconds(s, images=images, validation_images=validation_images) for s in candidate)
        return SAFETY * sum(each)

    while stages:
        grown = [_scaled(stages, MOST_GROWTH * 0.95**power) for power in range(120)]
        fitting = [candidate for candidate in grown if needed(candidate) <= seconds]
        if fitting:
            return fitting[0]
        stages = stages[:-1]
    return ()


def _scaled(stages: tuple[Stage, ...], factor: float) -> tuple[Stage, ...]:
    return tuple(dataclasses.replace(stage, epochs=max(1, round(stage.epochs * factor))) for stage in stages)
