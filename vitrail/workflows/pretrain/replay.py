"""`vitrail pretrain replay`: the beginning of a pretraining run done again, to see whether its log tells the truth."""

import tempfile
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.training.formula_steps import step_plan
from vitrail.training.pretraining import pretraining_job
from vitrail.training.replay import Replay, first_losses, logged_losses, replay_of
from vitrail.workflows.pretrain.preparation import begin
from vitrail.workflows.pretrain.recipe import recipe_values
from vitrail.workflows.pretrain.settings import PretrainSettings


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
