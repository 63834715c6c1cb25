"""`vitrail demo`: the whole path on a few of the built-in digits, from the starter weights and from nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.data.columns import in_split, labels_of
from vitrail.features.feature_pass import FrozenModel
from vitrail.features.neighbours import fit_neighbours
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure
from vitrail.measures.transfer import transfer_gain
from vitrail.models.catalogue import BuiltModel
from vitrail.prediction.predictor import Prediction, load
from vitrail.workflows.fit import FitResult
from vitrail.workflows.fit_data import FitImages, usable_rows
from vitrail.workflows.fit_outcome import Fitted, pack, report
from vitrail.workflows.fit_preparation import Prepared
from vitrail.workflows.fit_scratch import gain_sentences
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.fit_start import StartedFit
from vitrail.workflows.judging import Answers, judge_splits
from vitrail.workflows.study_starter_runs import SCRATCH, STARTER, Pictures, begun, few, read_pictures, trained_logits
from vitrail.workflows.study_starter_settings import StarterStudySettings

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
    watch = started.watch
    with RunFolder.open(started.out, settings.model_dump(mode="json"), overwrite=started.overwrite) as run:
        inspection = started.check.pending.result(emit)
        whole = usable_rows(inspection, settings, emit=emit)
        rows = pa.concat_tables([few(whole, BUDGET, seed=settings.seed), in_split(whole, "val")])
        classes = sorted(set(rows["label"].to_pylist()))
        begins = {arm: begun(arm, BUDGET, classes=len(classes), seed=settings.seed) for arm in (STARTER, SCRATCH)}
        built = begins[STARTER]
        pictures = read_pictures(rows, built.preprocessing, workers=0)
        watch.lap("check")
        emit(Noted(_plan(built)))
        logits = {arm: _logits(each, pictures, rows, settings.seed, emit) for arm, each in begins.items()}
        watch.lap("training")
        answers = Answers(logits[STARTER], _neighbours(pictures, rows))
        judged = judge_splits({"val": answers}, rows, classes, seed=settings.seed)
        from_nothing, gain = _gained(logits, labels_of(in_split(rows, "val"), classes), len(classes))
        (sentence,) = gain_sentences({
            "accuracy": from_nothing.as_json(), "measured_on": "val", "gain": {"absolute_improvement": gain.as_json()},
        })  # fmt: skip
        trained = f"all of it on {BUDGET.train} images, {BUDGET.epochs} epochs of AdamW, last weights kept"
        frozen = FrozenModel(built.model, built.preprocessing, built.weights_sha256, torch.device("cpu"))
        ready = Prepared(built, frozen, FitImages(rows, classes, 0), inspection.findings)
        fitted = Fitted("digits", ready, judged, (sentence,), trained)
        package = pack(fitted, run.cleared("package"), settings)
        page = report(fitted, run.path, settings, command="vitrail demo", timings=watch.laps)
        run.finish()
    fit = FitResult(run.path, package, page, judged.quality, judged.neighbours, watch.total)
    return DemoResult(fit, *_tried(package, in_split(rows, "val")), from_nothing, gain)


def _plan(built: BuiltModel) -> str:
    parameters = sum(parameter.numel() for parameter in built.model.parameters())
    return (
        f"model    the starter weights, {parameters:,} parameters, trained whole on {BUDGET.train} digits, "
        f"{BUDGET.epochs} epochs; then the same network from nothing"
    )


def _logits(built: BuiltModel, pictures: Pictures, rows: pa.Table, seed: int, emit: Emit) -> np.ndarray:
    parts = in_split(rows, "train"), in_split(rows, "val")
    return trained_logits(built, pictures, parts, BUDGET, rate=BUDGET.rates[0], seed=seed, emit=emit)


def _gained(logits: dict[str, np.ndarray], labels: np.ndarray, classes: int) -> tuple[Measure, Measure]:
    """How often the network from nothing is right, and how much more often the starter is."""
    predicted = {arm: values.argmax(axis=1) for arm, values in logits.items()}
    gain = transfer_gain(predicted[STARTER] == labels, predicted[SCRATCH] == labels, classes=classes)
    return accuracy(labels, predicted[SCRATCH]), gain.absolute_improvement


def _neighbours(pictures: Pictures, rows: pa.Table) -> np.ndarray:
    """What nearest neighbours on raw pixels say."""
    training, judged = (in_split(rows, split) for split in ("train", "val"))
    flat = [pictures.of(part).reshape(part.num_rows, -1).astype(np.float32) for part in (training, judged)]
    return fit_neighbours(flat[0], labels_of(training, pictures.classes)).predict(flat[1])


def _tried(package: Path, part: pa.Table) -> tuple[list[Prediction], list[str]]:
    """What the package on disk says of the first image of some classes."""
    paths, labels = part["path"].to_pylist(), part["label"].to_pylist()
    first = {label: path for path, label in zip(reversed(paths), reversed(labels), strict=True)}
    shown = sorted(first)[:5]
    return load(package).predict([first[label] for label in shown]), shown
