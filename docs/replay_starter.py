"""Whether the log of a pretraining tells the truth: its first steps done again, images and all, beside its losses.

usage: python docs/replay_starter.py [RECIPE LOG] [--steps 200]   (default: those of vitrail/models/starter)

RECIPE is the run's `settings.json` or its weights' `pretraining.json`, LOG its `metrics.jsonl`. The exit code is 1
where a loss differs by more than 2 %. On a processor of the same kind, with the same versions and number of threads,
they are the same bit for bit.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vitrail.basics.checks import read_lines
from vitrail.basics.errors import InputError, VitrailError
from vitrail.basics.events import Emit, Event, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.models.sources import STARTER_FOLDER
from vitrail.pages.progress import sink_or_bars
from vitrail.training.formula_steps import step_plan
from vitrail.training.job import TrainingJob
from vitrail.training.loop import train
from vitrail.training.pretraining import pretraining_job
from vitrail.training.records import StepsDone
from vitrail.workflows.pretrain.preparation import begin
from vitrail.workflows.pretrain.recipe import recipe_values
from vitrail.workflows.pretrain.settings import PretrainSettings

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


def replayed(
    recipe: Path, log: Path, *, steps: int = 200, images: Path | None = None, workers: int | None = None,
    emit: Emit = nobody,
) -> Replay:  # fmt: skip
    """Do the first steps of a run again, images and network and all, and compare every loss with the run's log.

    Args:
        recipe: `settings.json` or `pretraining.json` of the run.
        log: its `metrics.jsonl`.
        steps: how many.
        images: where formula images are kept; None: in Vitrail's cache.
        workers: processes that render images; None: one per core.
        emit: receives progress.

    Raises:
        InputError: the recipe is none, leaves the precision open, or the log is shorter than the steps.
    """
    settings = PretrainSettings.gather(**recipe_values(recipe))
    if settings.training.training_precision == "auto":
        raise InputError(
            f"{recipe} leaves the precision of the steps to each machine, so a replay could take another one",
            hint="give the run --set training_precision=bfloat16 or float32",
        )
    logged = logged_losses(log)[:steps]
    if len(logged) < steps:
        raise InputError(f"{log} holds {len(logged)} steps, not {steps}", hint=f"ask for --steps {len(logged)}")
    with (
        tempfile.TemporaryDirectory() as place,
        RunFolder.open(Path(place) / "run", settings.model_dump(mode="json")) as run,
    ):
        beginning, training = begin(settings, images=images, workers=workers, emit=emit), settings.training
        chain, batches = beginning.model.chain, beginning.batches
        plan = step_plan(run, chain, batches, training)
        job = pretraining_job(run, chain, batches, beginning.images, plan, training)
        redone = first_losses(job, steps, emit=emit)
    return replay_of(redone, logged)


def main(typed: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, nargs="?", default=STARTER_FOLDER / "pretraining.json")
    parser.add_argument("log", type=Path, nargs="?", default=STARTER_FOLDER / "metrics.jsonl")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=Path, help="where formula images are kept; default: Vitrail's cache")
    parser.add_argument("--workers", type=int, help="processes that render; default: one per core")
    given = parser.parse_args(typed)
    try:
        with sink_or_bars(None) as emit:
            found = replayed(
                given.recipe, given.log, steps=given.steps, images=given.images, workers=given.workers, emit=emit
            )
    except VitrailError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(found.words())
    return 0 if found.agrees else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
