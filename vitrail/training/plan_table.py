"""The plan as a table that is shown before anything is trained: stages, steps, learning rates, time; and in words."""

from collections.abc import Sequence
from typing import Any

from vitrail.basics.events import Emit, Noted
from vitrail.data.split_images import SplitImages
from vitrail.models.chain import Chain
from vitrail.models.ready import ReadyModel
from vitrail.pages.numbers import rough_duration
from vitrail.training.costs import Costs
from vitrail.training.parameter_groups import parameter_groups
from vitrail.training.plan import TrainingPlan
from vitrail.training.schedule import rate_at
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import Stage

MOST_STEPS_SHOWN = 60
"""Lines of the table of learning rates."""

LONG_SECONDS = 3600
"""Estimated training time from which on shorter ways are named."""


def tell_plan(rows: list[dict[str, Any]], plan: TrainingPlan, emit: Emit) -> None:
    """The plan as lines for the person who watches."""
    for line in (
        plan_lines(rows, plan) if rows or plan.remarks else ()
    ):  # where nothing was asked for, nothing is missed
        emit(Noted(line))
    for remark in plan.remarks:
        emit(Noted(f"warning  {remark}", "warning"))
    seconds = sum(row["estimated_seconds"] or 0 for row in rows)
    if seconds > LONG_SECONDS:
        about = f"about {rough_duration(seconds)} in all; --time 20m fits it, --preset quick is the probe alone"
        emit(Noted(f"warning  {about}", "warning"))


def plan_lines(rows: list[dict[str, Any]], plan: TrainingPlan) -> list[str]:
    """The plan as a table in text, and what it rests on."""
    if not rows:
        return ["plan     the probe alone"]
    header = ("stage", "epochs", "steps", "trains", "parameters", "learning rate", "cached", "about")
    cells = [
        (
            row["name"], str(row["epochs"]), f"{row['steps']:,}", row["trains"], f"{row['trainable_parameters']:,}",
            f"{row['learning_rate']:g}", row["cached"] or "-", rough_duration(row["estimated_seconds"]),
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[column]) for line in (header, *cells)) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, *cells)
    ]
    basis = f"{rows[0]['image_size']} pixels, {plan.images_per_step} images per step, {plan.reason}"
    return [f"{'plan' if number == 0 else '':<9}{line}" for number, line in enumerate([*lines, basis])]


def stage_rows(plan: TrainingPlan, ready: ReadyModel, images: SplitImages) -> list[dict[str, Any]]:
    """The plan of a training on images as a table, one dictionary per stage; see `plan_rows`."""
    return plan_rows(
        plan.stages,
        ready.chain,
        plan.costs,
        images=images.count("train"),
        validation_images=images.count("val"),
        images_per_step=plan.images_per_step,
        image_size=f"{ready.preprocessing.height} × {ready.preprocessing.width}",
    )


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
    scales = {(group["part"], group["layer"]): group["rate_scale"] for group in parameter_groups(chain, settings)}
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


def rate_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Learning rates as a table: one line per optimiser step, one column per layer group; see `learning_rate_rows`."""
    if not rows:
        return ["no training steps: the probe alone"]
    names = list(rows[0]["rates"])
    lines = ["  ".join(["stage", "epoch", " step", *(f"{name:>9}" for name in names)])]
    shown = rows if len(rows) <= MOST_STEPS_SHOWN else rows[:: -(-len(rows) // MOST_STEPS_SHOWN)]
    for row in shown:
        rates = (f"{rate:9.2e}" if rate else f"{'frozen':>9}" for rate in row["rates"].values())
        lines.append("  ".join([f"{row['stage']:<5}", f"{row['epoch']:>5}", f"{row['step']:>5}", *rates]))
    if len(shown) < len(rows):
        lines.append(f"{len(shown)} of {len(rows):,} steps; --json has them all")
    return lines


def _trained_words(stage: Stage, chain: Chain) -> str:
    if stage.cut == chain.pooled:
        return "classifier"
    if stage.cut == 0:
        return "everything"
    order = chain.order
    names = [order.names[place] for place in order.blocks if place >= stage.cut]
    span = names[0] if len(names) == 1 else f"{names[-1]} down to {names[0].split(' ')[-1]}"
    has_norm = any(group.kind == "norm" for group in order.groups)
    return f"{span}, norm, head" if has_norm else f"{span}, head"


def _cached_words(stage: Stage, chain: Chain) -> str:
    if not stage.cached:
        return ""
    views = f"{stage.views} view{'' if stage.views == 1 else 's'}"
    place = "pooled features" if stage.cut == chain.pooled else f"before {chain.order.names[stage.cut]}"
    return f"{views}, {place}"
