"""The plan of a fit in words: the table that is shown before anything is trained."""

from typing import Any

from vitrail.basics.events import Emit, Noted
from vitrail.training.plan import duration
from vitrail.workflows.fit_plan import FitPlan

LONG_SECONDS = 3600
"""Estimated training time from which on shorter ways are named."""


def tell_plan(rows: list[dict[str, Any]], plan: FitPlan, emit: Emit) -> None:
    """The plan as lines for the person who watches."""
    for line in (
        plan_lines(rows, plan) if rows or plan.remarks else ()
    ):  # where nothing was asked for, nothing is missed
        emit(Noted(line))
    for remark in plan.remarks:
        emit(Noted(f"warning  {remark}", "warning"))
    seconds = sum(row["estimated_seconds"] or 0 for row in rows)
    if seconds > LONG_SECONDS:
        emit(Noted(f"warning  about {duration(seconds)} in all; --time 20m fits it, --preset quick is the probe alone",
                   "warning"))  # fmt: skip


def plan_lines(rows: list[dict[str, Any]], plan: FitPlan) -> list[str]:
    """The plan as a table in text, and what it rests on."""
    if not rows:
        return ["plan     the probe alone"]
    header = ("stage", "epochs", "steps", "trains", "parameters", "learning rate", "cached", "about")
    cells = [
        (
            row["name"], str(row["epochs"]), f"{row['steps']:,}", row["trains"], f"{row['trainable_parameters']:,}",
            f"{row['learning_rate']:g}", row["cached"] or "-", duration(row["estimated_seconds"]),
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
