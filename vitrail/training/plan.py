"""The plan of a training: measured, fitted to time and disk, decided once and journaled."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.errors import InputError
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.data.split_images import SplitImages
from vitrail.features.memory_map import Storage
from vitrail.models.chain import Chain
from vitrail.models.ready import ReadyModel
from vitrail.pages.numbers import rough_duration
from vitrail.training.costs import Costs, fitted_to_time
from vitrail.training.precision import FLOAT32, TrainingPrecision, named_precision
from vitrail.training.settings import TrainingSettings
from vitrail.training.stage_caches import affordable_caches
from vitrail.training.stages import Stage, planned_stages
from vitrail.training.tried_steps import tried_steps

DEFAULT_IMAGES_PER_STEP = 32


@dataclass(frozen=True)
class TrainingPlan:
    """What training will do.

    Attributes:
        stages: in order; empty when the probe is all there is.
        precision: of the steps.
        reason: why this precision, in words.
        costs: what was measured; None when nothing had to be.
        images_per_step: images of one step.
        remarks: what was left out and why, in words.
        threads: with which the steps are computed: sums over threads, another number would give other last digits.
    """

    stages: tuple[Stage, ...]
    precision: TrainingPrecision
    reason: str
    costs: Costs | None
    images_per_step: int
    remarks: tuple[str, ...] = ()
    threads: int = dataclasses.field(default_factory=torch.get_num_threads)

    @property
    def storage(self) -> Storage:
        """How the training views' states are kept: as exactly as they are trained on."""
        return "bfloat16" if self.precision.products == "bfloat16" else "float32"


def training_plan(
    place: RunFolder | RunPart | None,
    ready: ReadyModel,
    images: SplitImages,
    settings: TrainingSettings,
    *,
    folder: Path,
) -> TrainingPlan:
    """The plan of this run: as the run that is continued journaled it, or made now and journaled.

    Args:
        place: whose journal holds the plan; None plans without leaving a trace.
        ready: the model, its head already the probe.
        images: all images of the run.
        settings: as asked for.
        folder: on the disk where caches will be.

    Raises:
        InputError: settings that do not fit the model or the number of images.
    """
    chain, count = ready.chain, images.count("train")
    per_step = _images_per_step(settings, count)
    stages = planned_stages(settings, chain, images=count)
    before = place.noted("plan") if place is not None else None
    if before is not None:
        return _replayed(before, per_step)
    if not stages:
        return TrainingPlan((), FLOAT32, "", None, per_step)
    precision, reason, costs = tried_steps(ready, stages, images, settings)
    remarks = _uncut(stages, chain, settings)
    if settings.time is not None:
        stages = _fitted(stages, costs, settings, chain, images, remarks.append)
    plan = TrainingPlan(stages, precision, reason, costs, per_step)
    rows, stored = (count, images.count("val")), plan.storage
    stages, given_up = affordable_caches(stages, ready, settings, rows=rows, storage=stored, folder=folder)
    plan = dataclasses.replace(plan, stages=stages, remarks=(*remarks, *given_up))
    if place is not None:
        place.note("plan", **_as_journaled(plan))
    return plan


def _uncut(stages: tuple[Stage, ...], chain: Chain, settings: TrainingSettings) -> list[str]:
    """A family that cannot be cut trains without the cache, and says so."""
    if settings.cache == "off" or all(stage.name != "top" or chain.can_cut(stage.cut) for stage in stages):
        return []
    return [f"no cache in stage top, this model cannot be cut before its top blocks: {chain.order.why_not}"]


def _images_per_step(settings: TrainingSettings, images: int) -> int:
    asked = settings.images_per_step
    if asked is not None and asked > images:
        raise InputError(
            f"a step of {asked} images was asked for, there are {images} training images",
            hint=f"--set images_per_step={min(DEFAULT_IMAGES_PER_STEP, images)}, or leave it out",
        )
    return asked or min(DEFAULT_IMAGES_PER_STEP, images)


def _fitted(
    stages: tuple[Stage, ...],
    costs: Costs,
    settings: TrainingSettings,
    chain: Chain,
    images: SplitImages,
    remark: Callable[[str], None],
) -> tuple[Stage, ...]:
    """The stages with as many epochs as the time budget allows; how many views pay is decided anew."""
    count, seconds = images.count("train"), settings.time or 0.0
    fitted = fitted_to_time(stages, costs, seconds=seconds, images=count, validation_images=images.count("val"))
    for stage in stages[len(fitted) :]:
        remark(f"{rough_duration(seconds)} do not suffice for one epoch of stage {stage.name}: it is left out")
    exact = {"stages": tuple(stage.name for stage in fitted), **{f"{s.name}_epochs": s.epochs for s in fitted}}
    return planned_stages(settings.model_copy(update=exact), chain, images=count)


def _as_journaled(plan: TrainingPlan) -> dict[str, Any]:
    return {
        "stages": [dataclasses.asdict(stage) for stage in plan.stages],
        "precision": plan.precision.name,
        "reason": plan.reason,
        "costs": dataclasses.asdict(plan.costs) if plan.costs else None,
        "remarks": list(plan.remarks),
        "threads": plan.threads,
    }


def _replayed(line: dict[str, Any], images_per_step: int) -> TrainingPlan:
    costs = Costs(**line["costs"]) if line["costs"] else None
    stages = tuple(Stage(**{**stage, "sizes": tuple(stage.get("sizes", ()))}) for stage in line["stages"])
    return TrainingPlan(
        stages,
        named_precision(line["precision"]),
        line["reason"],
        costs,
        images_per_step,
        tuple(line["remarks"]),
        line["threads"],
    )
