"""The plan of a fit's training: measured, fitted to time and disk, decided once and journaled."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from vitrail.basics.errors import InputError
from vitrail.basics.files import free_bytes
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.data.columns import in_split
from vitrail.features.feature_pass import FrozenModel
from vitrail.features.memory_map import Storage
from vitrail.features.prefix_cache import bytes_needed
from vitrail.models.chain import Chain
from vitrail.training.plan import Costs, duration, fitted_to_time
from vitrail.training.precision import FLOAT32, TrainingPrecision, named_precision
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import Stage, planned_stages
from vitrail.workflows.fit_steps import planned_steps

DEFAULT_IMAGES_PER_STEP = 32
MOST_CACHE_BYTES = 64e9


@dataclass(frozen=True)
class FitPlan:
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
        return "bfloat16" if self.precision.autocast else "float32"


def planned(
    run: RunFolder | RunPart | None, frozen: FrozenModel, rows: pa.Table, settings: TrainingSettings, *, folder: Path
) -> FitPlan:
    """The plan of this run: as the run that is continued journaled it, or made now and journaled.

    Args:
        run: None plans without leaving a trace.
        frozen: the model, its head already the probe.
        rows: the image table with its splits.
        settings: as asked for.
        folder: on the disk where caches will be.

    Raises:
        InputError: settings that do not fit the model or the number of images.
    """
    chain, images = Chain(frozen.model), in_split(rows, "train").num_rows
    per_step = _images_per_step(settings, images)
    stages = planned_stages(settings, chain, images=images)
    before = run.noted("plan") if run is not None else None
    if before is not None:
        return _replayed(before, per_step)
    if not stages:
        return FitPlan((), FLOAT32, "", None, per_step)
    precision, reason, costs = planned_steps(frozen, chain, stages, rows, settings)
    remarks = _uncut(stages, chain, settings)
    if settings.time is not None:
        stages = _fitted(stages, costs, settings, chain, rows, remarks.append)
    plan = FitPlan(stages, precision, reason, costs, per_step)
    plan = dataclasses.replace(plan, stages=_on_disk(plan, chain, frozen, settings, rows, folder, remarks.append))
    plan = dataclasses.replace(plan, remarks=tuple(remarks))
    if run is not None:
        run.note("plan", **_as_journaled(plan))
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
    rows: pa.Table,
    remark: Callable[[str], None],
) -> tuple[Stage, ...]:
    """The stages with as many epochs as the time budget allows; how many views pay is decided anew."""
    images, held_out = in_split(rows, "train").num_rows, in_split(rows, "val").num_rows
    seconds = settings.time or 0.0
    fitted = fitted_to_time(stages, costs, seconds=seconds, images=images, validation_images=held_out)
    for stage in stages[len(fitted) :]:
        remark(f"{duration(seconds)} do not suffice for one epoch of stage {stage.name}: it is left out")
    exact = {"stages": tuple(stage.name for stage in fitted), **{f"{s.name}_epochs": s.epochs for s in fitted}}
    return planned_stages(settings.model_copy(update=exact), chain, images=images)


def _on_disk(
    plan: FitPlan,
    chain: Chain,
    frozen: FrozenModel,
    settings: TrainingSettings,
    rows: pa.Table,
    folder: Path,
    remark: Callable[[str], None],
) -> tuple[Stage, ...]:
    """The stages, their views reduced or their cache given up where the disk does not suffice."""
    gigabytes = settings.cache_gigabytes
    free = free_bytes(folder)
    budget = min(0.9 * free, gigabytes * 1e9) if gigabytes else min(0.5 * free, MOST_CACHE_BYTES)
    shown = frozen.preprocessing
    size = (shown.channels, shown.height, shown.width)
    images, held_out = in_split(rows, "train").num_rows, in_split(rows, "val").num_rows
    kept = []
    for stage in stages_with_cache_last(plan.stages):
        if not stage.cached:
            kept.append(stage)
            continue
        each = bytes_needed(chain, stage.cut, images=size, rows=images, storage=plan.storage)
        judged = bytes_needed(chain, stage.cut, images=size, rows=held_out, storage="float32")
        affordable = int((budget - judged) // each)
        wanted = stage.views or 1
        if affordable >= wanted:
            budget -= judged + wanted * each
            kept.append(stage)
        elif settings.cache == "on":
            raise InputError(
                f"the cache of stage {stage.name} takes {(judged + wanted * each) / 1e9:.1f} GB, "
                f"{budget / 1e9:.1f} GB may be used",
                hint="fewer --set views, or more --set cache_gigabytes, or --set cache=auto",
            )
        else:
            remark(
                f"no cache in stage {stage.name}: {(judged + wanted * each) / 1e9:.1f} GB would be needed, "
                f"{budget / 1e9:.1f} GB may be used"
            )
            kept.append(dataclasses.replace(stage, cached=False, views=settings.views))
    return tuple(sorted(kept, key=lambda stage: [s.name for s in plan.stages].index(stage.name)))


def stages_with_cache_last(stages: tuple[Stage, ...]) -> list[Stage]:
    """The stages, the smallest cache first: the head's pooled features are next to nothing."""
    return sorted(stages, key=lambda stage: -stage.cut)


def _as_journaled(plan: FitPlan) -> dict[str, Any]:
    return {
        "stages": [dataclasses.asdict(stage) for stage in plan.stages],
        "precision": plan.precision.name,
        "reason": plan.reason,
        "costs": dataclasses.asdict(plan.costs) if plan.costs else None,
        "remarks": list(plan.remarks),
        "threads": plan.threads,
    }


def _replayed(line: dict[str, Any], images_per_step: int) -> FitPlan:
    costs = Costs(**line["costs"]) if line["costs"] else None
    stages = tuple(Stage(**stage) for stage in line["stages"])
    return FitPlan(
        stages,
        named_precision(line["precision"]),
        line["reason"],
        costs,
        images_per_step,
        tuple(line["remarks"]),
        line["threads"],
    )
