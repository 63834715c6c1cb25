"""`vitrail demo`: the whole path on a few of the built-in digits, from the starter weights and from nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.devices import chosen_device
from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.data.columns import in_split
from vitrail.data.pictures_in_memory import read_pictures
from vitrail.data.split_images import SplitImages
from vitrail.data.training_subsets import drawn_training_rows, with_held_out
from vitrail.data.usable_images import usable_rows
from vitrail.evaluation.judging import judge_splits
from vitrail.features.neighbours import pixel_neighbours
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure
from vitrail.measures.transfer import transfer_gain
from vitrail.models.beginnings import SCRATCH, beginning_of
from vitrail.models.ready import ReadyModel
from vitrail.models.sources import STARTER
from vitrail.prediction.answers import Prediction
from vitrail.prediction.predictor import load
from vitrail.training.scratch import scratch_logits
from vitrail.workflows.fit.outcome import Fitted, fit_sections, pack, report
from vitrail.workflows.fit.preparation import Prepared
from vitrail.workflows.fit.result import FitResult
from vitrail.workflows.fit.settings import FitSettings
from vitrail.workflows.fit.start import StartedFit
from vitrail.workflows.study.starter_settings import StarterStudySettings

BUDGET = StarterStudySettings(image_size=32, epochs=12, rates=(5e-4,), train=400)
"""What both trainings may use: a minute in all on two processor cores."""


@dataclass(frozen=True)
class DemoResult:
    """The finished run, what its package says of some validation images (`truths` are their labels), and how often
    the same network is right that began from nothing, with what the starter weights gained over it."""

    fit: FitResult
    predictions: list[Prediction]
    truths: list[str]
    from_nothing: Measure
    gain: Measure


def finish_demo(started: StartedFit, *, emit: Emit = nobody) -> DemoResult:
    """Train the starter on few digits, and the same network from nothing; judge, package and use the first."""
    settings = FitSettings.gather(name=BUDGET.model, image_size=BUDGET.image_size)
    watch, seed = started.watch, settings.seed
    with RunFolder.open(started.out, settings.model_dump(mode="json"), overwrite=started.overwrite) as run:
        inspection = started.check.pending.result(emit)
        whole = usable_rows(inspection, settings.images, settings.split, seed=seed, emit=emit)
        drawn = drawn_training_rows(whole, count=BUDGET.train, seed=seed)
        images = SplitImages.of(with_held_out(drawn, whole, "val"), workers=0)
        starter, scratch = (_beginning(arm, images, seed) for arm in (STARTER, SCRATCH))
        pictures = read_pictures(images.rows, starter.preprocessing, workers=0)
        watch.lap("check")
        emit(Noted(_plan(starter)))
        rows, how = (in_split(images.rows, "train"), in_split(images.rows, "val")), BUDGET.scratch(BUDGET.rates[0])
        logits, others = (
            scratch_logits(each, pictures, rows, how, seed=seed, emit=emit) for each in (starter, scratch)
        )
        watch.lap("training")
        judged = judge_splits({"val": logits}, {"val": pixel_neighbours(pictures, rows)}, images, seed=seed)
        from_nothing, gain = _gained(logits.argmax(axis=1), others.argmax(axis=1), images)
        trained = f"all of it on {BUDGET.train} images, {BUDGET.epochs} epochs of AdamW, last weights kept"
        model = starter.seen_through(starter.preprocessing, chosen_device("cpu"))
        fitted = Fitted("digits", Prepared(model, images, inspection.findings), judged, (), trained)
        sections = fit_sections(fitted, thumbnails=settings.thumbnails)
        package = pack(fitted, sections, run.cleared("package"), seed=seed)
        page = report(fitted, sections, run.path, command="vitrail demo", seed=seed, timings=watch.laps)
        run.finish()
    fit = FitResult(run.path, package, page, judged.quality, judged.neighbours, watch.total)
    return DemoResult(fit, *_tried(package, in_split(images.rows, "val")), from_nothing, gain)


def _beginning(arm: str, images: SplitImages, seed: int) -> ReadyModel:
    return beginning_of(arm, BUDGET.model, image_size=BUDGET.image_size, classes=len(images.classes), seed=seed)


def _plan(starter: ReadyModel) -> str:
    return (
        f"model    the starter weights, {starter.parameters:,} parameters, trained whole on {BUDGET.train} digits, "
        f"{BUDGET.epochs} epochs; then the same network from nothing"
    )


def _gained(starter: Any, scratch: Any, images: SplitImages) -> tuple[Measure, Measure]:
    """How often the network from nothing is right, and how much more often the starter is."""
    labels = images.labelled("val").labels
    gain = transfer_gain(starter == labels, scratch == labels, classes=len(images.classes))
    return accuracy(labels, scratch), gain.absolute_improvement


def _tried(package: Path, part: Any) -> tuple[list[Prediction], list[str]]:
    """What the package on disk says of the first image of some classes."""
    paths, labels = part["path"].to_pylist(), part["label"].to_pylist()
    first = {label: path for path, label in zip(reversed(paths), reversed(labels), strict=True)}
    shown = sorted(first)[:5]
    return load(package).predict([first[label] for label in shown]), shown
