"""The plan: what will be trained, for how long and how fast, as a table that is shown before anything runs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.models.chain import Chain
from vitrail.training.parameter_groups import parameter_groups
from vitrail.training.schedule import rate_at
from vitrail.training.settings import TrainingSettings
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


def plan_rows(
    stages: Sequence[Stage],
    chain: Chain,
    costs: Costs | None,
    *,
    images: int,
    validation_images: int,
    images_per_step: int,
    image_size: str,
) -> list[dict[str, Any]]:
    """One dictionary per stage: `name`, `epochs`, `steps`, `trains`, `trainable_parameters`, `learning_rate` (of the
    last layer), `image_size`, `cached`, `estimated_seconds`."""
    sizes = {name: parameter.numel() for name, parameter in chain.model.named_parameters()}
    rows = []
    for stage in stages:
        trained = [sizes[name] for name, part in chain.parts.items() if part >= stage.cut]
        rows.append(
            {
                "name": stage.name,
                "epochs": stage.epochs,
                "steps": stage.epochs * -(-images // images_per_step),
                "trains": _trained_words(stage, chain),
                "trainable_parameters": sum(trained),
                "learning_rate": stage.learning_rate,
                "image_size": image_size,
                "cached": _cached_words(stage, chain),
                "estimated_seconds": None
                if costs is None
                else round(costs.stage_seconds(stage, images=images, validation_images=validation_images), 1),
            }
        )
    return rows


def learning_rate_rows(
    stages: Sequence[Stage], chain: Chain, settings: TrainingSettings, *, steps_per_epoch: int
) -> list[dict[str, Any]]:
    """The learning rate of every layer group at every optimiser step: `stage`, `step` (from 1), `epoch` (from 1), and
    `rates` by layer group, 0 where it is frozen."""
    scales = {
        (group["part"], group["layer"]): group["rate_scale"]
        for group in parameter_groups(chain, layer_decay=settings.layer_decay, weight_decay=0.0)
    }
    rows = []
    for stage in stages:
        total = stage.epochs * steps_per_epoch
        for step in range(total):
            epoch = step // steps_per_epoch
            share = rate_at(step, total, settings.warmup_fraction, floor_fraction=settings.floor_fraction)
            rates = {name: 0.0 for _, name in scales}
            for (part, name), scale in scales.items():
                if part >= stage.trained_from(epoch):
                    rates[name] = stage.learning_rate * share * scale
            rows.append({"stage": stage.name, "step": step + 1, "epoch": epoch + 1, "rates": rates})
    return rows


def duration(seconds: float | int | None) -> str:
    """Seconds in the words of a kitchen clock.

    >>> duration(75)
    '1 min 15 s'
    """
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _scaled(stages: tuple[Stage, ...], factor: float) -> tuple[Stage, ...]:
    return tuple(dataclasses.replace(stage, epochs=max(1, round(stage.epochs * factor))) for stage in stages)


def _trained_words(stage: Stage, chain: Chain) -> str:
    if stage.cut == chain.pooled:
        return "classifier"
    if stage.cut == 0:
        return "everything"
    names = [name for name in chain.order.names[stage.cut :] if name.startswith("block ")]
    span = names[0] if len(names) == 1 else f"{names[-1]} down to {names[0].removeprefix('block ')}"
    return f"{span}, norm, head" if "norm" in chain.order.names else f"{span}, head"


def _cached_words(stage: Stage, chain: Chain) -> str:
    if not stage.cached:
        return ""
    views = f"{stage.views} view{'' if stage.views == 1 else 's'}"
    place = "pooled features" if stage.cut == chain.pooled else f"before {chain.order.names[stage.cut]}"
    return f"{views}, {place}"
