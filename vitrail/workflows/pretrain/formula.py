"""`vitrail pretrain formula`: weights that were learned without a single photograph, for fits to start from."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.calls import call_text
from vitrail.basics.events import Emit, Noted
from vitrail.basics.files import sha256_of
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.stopwatch import Stopwatch
from vitrail.evaluation.pretraining_facts import Pretrained
from vitrail.models.pretrained_folder import WEIGHTS
from vitrail.pages.progress import sink_or_bars
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.training.formula_steps import step_plan
from vitrail.training.loop import train
from vitrail.training.pretraining import plan_words, pretraining_job
from vitrail.workflows.pretrain.outcome import keep_weights, report
from vitrail.workflows.pretrain.preparation import begin
from vitrail.workflows.pretrain.recipe import recipe_values
from vitrail.workflows.pretrain.settings import PretrainSettings


@dataclass(frozen=True, repr=False)
class PretrainResult(ShownAsText):
    """What a pretraining run leaves behind.

    Attributes:
        run: the run folder.
        package: the folder that `local-dir:` names.
        report: the page to read.
        weights_sha256: of the weights file.
        last: the record of the last epoch, as in `metrics.jsonl`.
        images_seen: views that were trained on.
        seconds: that training took, in all processes that worked on it.
    """

    run: Path
    package: Path
    report: Path
    weights_sha256: str
    last: dict[str, Any]
    images_seen: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "run": str(self.run), "package": str(self.package), "report": str(self.report),
            "weights_sha256": self.weights_sha256, "last_epoch": self.last, "images_seen": self.images_seen,
            "seconds": round(self.seconds, 1),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The figures, where everything is, and the next command."""
        return [
            f"digits   {100 * self.last['digits_probe_accuracy']:.1f} % right with a linear probe on frozen features",
            f"formula  {100 * self.last['validation_accuracy']:.1f} % of held-out renderings right",
            "",
            f"package  {self.package}",
            f"sha256   {self.weights_sha256}",
            f"report   {self.report}",
            f"time     {self.seconds:,.0f} s of training, {self.images_seen:,} images seen",
            f"next     vitrail fit PHOTOS --model {shlex.quote(f'local-dir:{self.package}')}",
        ]


def pretrain_formula(
    *,
    out: str | Path = "runs/formula",
    recipe: str | Path | None = None,
    images: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    command: str | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> PretrainResult:
    """Pretrain a ViT on images computed from formulas; `fit` starts from it with `model="local-dir:OUT/package"`.

    Args:
        out: the run folder; an interrupted run with the same settings is continued.
        recipe: settings of another run: its `settings.json`, or the `pretraining.json` of its weights.
        images: where formula images are kept, for all runs; None: in Vitrail's cache.
        overwrite: replace a run that stands there.
        workers: processes that render images; None: one per core.
        command: how the run is described in its report; None: as this call.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `PretrainSettings`' names, e.g. `steps=20_000`, `classes=1000`, `width=192`; they stand above
            the recipe's.

    Returns:
        The weights' folder, their digest, the report and the last epoch's figures; `print` shows them.

    Raises:
        InputError: settings are not as expected, or another run stands there.
        SystemFault: disk or permission.
        TrainingFault: the loss is no longer finite.
    """
    chosen = PretrainSettings.gather(**{**({} if recipe is None else recipe_values(Path(recipe))), **settings})
    call = command or call_text(
        pretrain_formula, out=out, recipe=recipe, images=images, overwrite=overwrite, workers=workers, **settings
    )
    with sink_or_bars(emit) as emit:
        return _pretrained(
            chosen, Path(out), images=None if images is None else Path(images), overwrite=overwrite, workers=workers,
            command=call, emit=emit,
        )  # fmt: skip


def _pretrained(
    settings: PretrainSettings, out: Path, *, images: Path | None, overwrite: bool, workers: int | None, command: str,
    emit: Emit,
) -> PretrainResult:  # fmt: skip
    """The recipe: tell classes of formula images apart, and keep the network without its classifier."""
    watch = Stopwatch()
    with RunFolder.open(out, settings.model_dump(mode="json"), overwrite=overwrite) as run:
        emit = run.journaled(emit)
        training = settings.training
        beginning = begin(settings, images=images, workers=workers, emit=emit)
        model, found, batches = beginning.model, beginning.images, beginning.batches
        watch.lap("images")
        plan = step_plan(run, model.chain, batches, training)
        emit(Noted(plan_words(plan, found, training)))
        trained = train(pretraining_job(run, model.chain, batches, found, plan, training), emit=emit)
        watch.lap("training")
        model.model.cpu().eval()
        done = Pretrained(
            model, trained.state, plan.reason, found.redrawn, settings.images, settings.network, training,
            seed=settings.seed, kept_in=settings.weights_dtype,
        )  # fmt: skip
        package = keep_weights(done, settings, run.cleared("package"))
        page = report(done, settings, run.path, command=command, timings=watch.laps)
        run.finish()
    digest = sha256_of(package / WEIGHTS)
    return PretrainResult(run.path, package, page, digest, done.last, done.images_seen, done.state.seconds)
