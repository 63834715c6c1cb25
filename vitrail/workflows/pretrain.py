"""`vitrail pretrain formula`: weights that were learned without a single photograph, for fits to start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.devices import chosen_device
from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.files import cache_folder, sha256_of
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.seeds import derived_seed
from vitrail.basics.stopwatch import Stopwatch
from vitrail.data.workers import usable_cores
from vitrail.models.chain import Chain
from vitrail.models.plain_vit import plain_vit
from vitrail.models.pretrained_folder import WEIGHTS
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.training.digits_probe import digits_probe
from vitrail.training.formula_batches import FormulaBatches, stored_near
from vitrail.training.formula_set import FormulaSet, formula_set
from vitrail.training.formula_steps import StepPlan, step_plan, step_rule
from vitrail.training.loop import Trained, TrainingJob, train
from vitrail.training.out_of_memory import Portions
from vitrail.training.stages import Stage
from vitrail.workflows.pretrain_outcome import Pretrained, keep_weights, report
from vitrail.workflows.pretrain_settings import PretrainSettings

STAGE = "formula"
PROBE = "digits_probe_accuracy"
"""Under this name stands the accuracy of a linear probe on digits in every record of an epoch."""


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
        built = seeded_network(settings, emit=emit)
        found = formula_set(
            settings.images, built.preprocessing, images or cache_folder() / "formula",
            held_out_renderings=settings.training.held_out_renderings,
            workers=usable_cores() if workers is None else workers, emit=emit,
        )  # fmt: skip
        watch.lap("images")
        batches = formula_batches(settings, built, found)
        chain = Chain(built.model.to(batches.normalise.device))
        plan = step_plan(run, chain, batches, settings.training)
        emit(Noted(plan_words(settings, plan, found)))
        trained = train(pretraining_job(run, settings, chain, plan, batches, found), emit=emit)
        watch.lap("training")
        built.model.cpu().eval()
        done = Pretrained(settings, built, plan.reason, trained.state, found.redrawn)
        package = keep_weights(done, run.cleared("package"))
        page = report(done, run.path, command=command, timings=watch.laps)
        run.finish()
    return result_of(run.path, package, page, settings, trained)


def seeded_network(settings: PretrainSettings, *, emit: Emit = nobody) -> ReadyModel:
    """The network, its weights drawn from the seed."""
    built = plain_vit(
        settings.network, sizes=settings.training.sizes, classes=settings.images.classes,
        seed=derived_seed(settings.seed, "weights"),
    )  # fmt: skip
    parameters = sum(parameter.numel() for parameter in built.model.parameters())
    shape = settings.network
    emit(Noted(f"model    ViT of width {shape.width}, depth {shape.depth}, patch {shape.patch}: {parameters:,} "
               f"parameters with the classifier"))  # fmt: skip
    return built


def formula_batches(settings: PretrainSettings, built: ReadyModel, found: FormulaSet) -> FormulaBatches:
    """The steps' batches, on the device that was asked for."""
    device, training = chosen_device(settings.device), settings.training
    return FormulaBatches(
        stored=stored_near(found.pixels, device),
        labels=found.labels,
        classes=settings.images.classes,
        views=settings.views,
        normalise=Normalise(built.preprocessing, device),
        images_per_step=training.images_per_step,
        steps_per_epoch=training.steps_per_epoch,
        sizes=training.sizes,
        total_steps=training.total_steps,
        seed=settings.seed,
    )


def pretraining_job(
    run: RunFolder, settings: PretrainSettings, chain: Chain, plan: StepPlan, batches: FormulaBatches, found: FormulaSet
) -> TrainingJob:
    """All that the training loop needs."""
    training, shown = settings.training, found.held_out.preprocessing
    device: torch.device = batches.normalise.device
    probe = digits_probe(shown, device, seed=settings.seed, batch_size=found.held_out.batch_size)
    at_once = -(-training.images_per_step // training.accumulate)
    return TrainingJob(
        chain=chain,
        stages=(Stage(STAGE, training.epochs, training.learning_rate, 0, 0, None, cached=False),),
        training=batches,
        validation=found.held_out,
        sample=found.sample,
        caches={},
        rule=step_rule(plan, batches.normalise, training),
        portions=Portions(at_once, run.all_noted("images_at_once"), run.note),
        settings=training.for_the_loop(),
        classes=tuple(f"class {number}" for number in range(settings.images.classes)),
        folder=run.work / "training",
        metrics=run.metrics,
        also_measured={PROBE: probe},
        keep_logits=False,
    )


def plan_words(settings: PretrainSettings, plan: StepPlan, found: FormulaSet) -> str:
    """What will be trained, in a line."""
    training = settings.training
    sizes = ", then ".join(dict.fromkeys(str(size) for size in training.sizes))
    return (
        f"plan     {training.total_steps:,} steps of {training.images_per_step} images in {training.epochs} epochs, "
        f"{sizes} pixels, {len(found.pixels):,} images of {settings.images.classes:,} classes, {plan.reason}"
    )


def result_of(run: Path, package: Path, page: Path, settings: PretrainSettings, trained: Trained) -> PretrainResult:
    """What the run left, in figures."""
    training = settings.training
    return PretrainResult(
        run, package, page, sha256_of(package / WEIGHTS), trained.state.history[-1],
        training.total_steps * training.images_per_step, trained.state.seconds,
    )  # fmt: skip
