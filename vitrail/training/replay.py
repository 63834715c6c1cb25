"""Whether the log of a training run tells the truth: its first steps, done again, beside the losses it holds."""

import contextlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.checks import read_lines
from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Event, nobody
from vitrail.training.job import TrainingJob
from vitrail.training.loop import train
from vitrail.training.records import StepsDone

TOLERANCE = 0.02
"""Largest share by which a step's loss may differ on another machine: rounding grows from step to step."""


@dataclass(frozen=True)
class Replay:
    """How the replayed steps compare with the log.

    Attributes:
        steps: that were compared.
        same: how many of them, from the first on, have the very same loss.
        largest_difference: of a loss, as a share of the log's.
        threads: that computed here; another number of them adds in another order.
    """

    steps: int
    same: int
    largest_difference: float
    threads: int

    @property
    def agrees(self) -> bool:
        """Whether no loss differs by more than `TOLERANCE`."""
        return self.largest_difference <= TOLERANCE

    def words(self) -> str:
        """The outcome in a line."""
        if self.same == self.steps:
            return f"the losses of all {self.steps} steps are the same, bit for bit"
        return (
            f"the losses of {self.steps} steps differ by up to {self.largest_difference:.2%} (allowed: "
            f"{TOLERANCE:.0%}; the first {self.same} are the same bit for bit)"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {**asdict(self), "agrees": self.agrees}


class _Enough(Exception):
    """As many steps as were asked for are done."""


def first_losses(job: TrainingJob, steps: int, *, emit: Emit = nobody) -> list[float | None]:
    """The losses of a job's first steps, None where one was left out; without checkpoints and measurements on the way.

    Args:
        job: of a run that has not begun.
        steps: how many.
        emit: receives progress.

    Raises:
        VitrailError: see `train`.
    """
    losses: list[float | None] = []

    def listening(event: Event) -> None:
        emit(event)
        if isinstance(event, StepsDone):
            losses.extend(event.losses)
        if len(losses) >= steps:
            raise _Enough

    seldom = job.settings.model_copy(update={"checkpoint_seconds": 1e9})
    with contextlib.suppress(_Enough):
        train(replace(job, settings=seldom, also_measured={}), emit=listening)
    return losses[:steps]


def logged_losses(log: Path) -> list[float | None]:
    """The loss of every step in a `metrics.jsonl`, None where a step was left out.

    Raises:
        InputError: the file is not there, is no log, or is damaged.
    """
    try:
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        losses = [loss for line in lines if line["kind"] == "steps" for loss in line["losses"]]
        damaged = read_lines(log).damaged
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{log} is no log of a run: {error}", hint="take its metrics.jsonl") from None
    if damaged:
        raise InputError(f"{log}: line {damaged[0]} is not what was written", hint="take an undamaged copy")
    return losses


def replay_of(redone: list[float | None], logged: list[float | None]) -> Replay:
    """Losses of the same steps, side by side."""
    pairs = list(zip(redone, logged, strict=True))
    same = next((place for place, (mine, theirs) in enumerate(pairs) if mine != theirs), len(pairs))
    known = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
    left_out_elsewhere = any((mine is None) != (theirs is None) for mine, theirs in pairs)
    largest = max((abs(mine - theirs) / abs(theirs) for mine, theirs in known), default=0.0)
    return Replay(len(pairs), same, float("inf") if left_out_elsewhere else largest, torch.get_num_threads())
