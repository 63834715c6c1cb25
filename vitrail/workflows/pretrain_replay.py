"""Replaying the beginning of a pretraining run, to see whether its log tells the truth."""

import contextlib
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.checks import read_lines
from vitrail.basics.devices import chosen_device
from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Event, nobody
from vitrail.basics.files import cache_folder
from vitrail.basics.run_folder import RunFolder
from vitrail.data.workers import usable_cores
from vitrail.models.chain import Chain
from vitrail.training.formula_set import formula_set
from vitrail.training.formula_steps import step_plan
from vitrail.training.loop import TrainingJob, train
from vitrail.training.pretraining import formula_batches, pretraining_job, seeded_network
from vitrail.training.records import StepsDone
from vitrail.workflows.pretrain_recipe import recipe_values
from vitrail.workflows.pretrain_settings import PretrainSettings

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


def replay_formula(
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
    with tempfile.TemporaryDirectory() as place:
        redone = _losses(settings, Path(place), steps, images=images, workers=workers, emit=emit)
    return compared(redone, logged)


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


def compared(redone: list[float | None], logged: list[float | None]) -> Replay:
    """Losses of the same steps, side by side."""
    pairs = list(zip(redone, logged, strict=True))
    same = next((place for place, (mine, theirs) in enumerate(pairs) if mine != theirs), len(pairs))
    known = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
    left_out_elsewhere = any((mine is None) != (theirs is None) for mine, theirs in pairs)
    largest = max((abs(mine - theirs) / abs(theirs) for mine, theirs in known), default=0.0)
    return Replay(len(pairs), same, float("inf") if left_out_elsewhere else largest, torch.get_num_threads())


def _losses(
    settings: PretrainSettings, place: Path, steps: int, *, images: Path | None, workers: int | None, emit: Emit
) -> list[float | None]:
    losses: list[float | None] = []

    def listening(event: Event) -> None:
        emit(event)
        if isinstance(event, StepsDone):
            losses.extend(event.losses)
        if len(losses) >= steps:
            raise _Enough

    with RunFolder.open(place / "run", settings.model_dump(mode="json")) as run:
        job = _job(settings, run, images=images, workers=workers, emit=emit)
        with contextlib.suppress(_Enough):
            train(job, emit=listening)
    return losses[:steps]


def _job(
    settings: PretrainSettings, run: RunFolder, *, images: Path | None, workers: int | None, emit: Emit
) -> TrainingJob:
    """The job of `pretrain_formula`, without checkpoints and without measurements on the way."""
    training, device = settings.training, chosen_device(settings.device)
    built = seeded_network(
        settings.network, sizes=training.sizes, classes=settings.images.classes, seed=settings.seed, emit=emit
    )
    found = formula_set(
        settings.images, built.preprocessing, images or cache_folder() / "formula",
        held_out_renderings=training.held_out_renderings,
        workers=usable_cores() if workers is None else workers, emit=emit,
    )  # fmt: skip
    batches = formula_batches(
        found, built.preprocessing, device, views=settings.views, settings=training, seed=settings.seed
    )
    chain = Chain(built.model.to(device))
    job = pretraining_job(run, chain, batches, found, step_plan(run, chain, batches, training), training)
    seldom = job.settings.model_copy(update={"checkpoint_seconds": 1e9})
    return replace(job, settings=seldom, also_measured={})
