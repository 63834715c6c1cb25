"""`vitrail pretrain formula`: weights that were learned without a single photograph, for fits to start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.files import sha256_of
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.stopwatch import Stopwatch
from vitrail.evaluation.pretraining_facts import Pretrained
from vitrail.models.pretrained_folder import WEIGHTS
from vitrail.training.formula_steps import step_plan
from vitrail.training.loop import train
from vitrail.training.pretraining import plan_words, pretraining_job
from vitrail.workflows.pretrain.outcome import keep_weights, report
from vitrail.workflows.pretrain.preparation import begin
from vitrail.workflows.pretrain.settings import PretrainSettings


@dataclass(frozen=True)
class PretrainResult:
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


def pretrain_formula(
    settings: PretrainSettings, *, out: Path, images: Path | None = None, overwrite: bool = False,
    workers: int | None = None, command: str = "vitrail.pretrain_formula(...)", emit: Emit = nobody,
) -> PretrainResult:  # fmt: skip
    """Pretrain a ViT to tell classes of formula images apart, and keep it without its classifier.

    Args:
        settings: everything that can be chosen.
        out: the run folder; an interrupted run with the same settings is continued.
        images: where formula images are kept; None: in Vitrail's cache.
        overwrite: replace a run that stands there.
        workers: processes that render images; None: one per core.
        command: how the user called it, for the report.
        emit: receives progress.

    Raises:
        VitrailError: see the parts. Whatever happens, the same call continues where it was.
    """
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
