"""`vitrail demo`: the whole path on the built-in digits, without any pretrained weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.data.columns import in_split, labels_of, places_of
from vitrail.data.loader import pixel_batches
from vitrail.features.feature_pass import FrozenModel
from vitrail.features.neighbours import fit_neighbours
from vitrail.models.catalogue import BuiltModel
from vitrail.models.small_vit import small_vit
from vitrail.prediction.predictor import Prediction, load
from vitrail.training.scratch import ScratchSettings, as_input, train_from_scratch
from vitrail.workflows.fit import FitResult
from vitrail.workflows.fit_data import FitImages, usable_rows
from vitrail.workflows.fit_outcome import Fitted, pack, report
from vitrail.workflows.fit_preparation import Prepared
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.fit_start import StartedFit
from vitrail.workflows.judging import Answers, judge_splits

DIGIT_PIXELS, PATCH_PIXELS = 8, 2


@dataclass(frozen=True)
class DemoResult:
    """The finished run, and what its package says of some validation images; `truths` are their labels."""

    fit: FitResult
    predictions: list[Prediction]
    truths: list[str]


def finish_demo(started: StartedFit, *, emit: Emit = nobody) -> DemoResult:
    """Train a small ViT from scratch on the digits, judge it beside nearest neighbours, package it and use it."""
    settings = FitSettings.gather(name="vit_tiny_patch16_224", pretrained=False, image_size=DIGIT_PIXELS)
    training = ScratchSettings()
    watch = started.watch
    with RunFolder.open(started.out, settings.model_dump(mode="json"), overwrite=started.overwrite) as run:
        inspection = started.check.pending.result(emit)
        rows = usable_rows(inspection, settings, emit=emit)
        classes = sorted(set(rows["label"].to_pylist()))
        built = small_vit(
            image_pixels=DIGIT_PIXELS, patch_pixels=PATCH_PIXELS, num_classes=len(classes), seed=settings.seed
        )
        pixels = {split: _pixels(in_split(rows, split), built) for split in ("train", "val")}
        watch.lap("check")
        emit(Noted(f"model    a small ViT from scratch, {_parameters(built):,} parameters, {training.epochs} epochs"))
        labels = labels_of(in_split(rows, "train"), classes)
        train_from_scratch(
            built.model, _inputs(pixels["train"], built), torch.from_numpy(labels), training,
            seed=settings.seed, emit=emit,
        )  # fmt: skip
        watch.lap("training")
        judged = judge_splits({"val": _answers(built, pixels, labels)}, rows, classes, seed=settings.seed)
        trained = f"from scratch on {len(labels):,} images, {training.epochs} epochs of AdamW, last weights kept"
        frozen = FrozenModel(built.model, built.preprocessing, built.weights_sha256, torch.device("cpu"))
        ready = Prepared(built, frozen, FitImages(rows, classes, 0), inspection.findings)
        fitted = Fitted("digits", ready, judged, (f"{trained}.", _WITHOUT_WEIGHTS), trained)
        package = pack(fitted, run.cleared("package"), settings)
        page = report(fitted, run.path, settings, command="vitrail demo", timings=watch.laps)
        run.finish()
    fit = FitResult(run.path, package, page, judged.quality, judged.neighbours, watch.total)
    return DemoResult(fit, *_tried(package, in_split(rows, "val")))


_WITHOUT_WEIGHTS = (
    "No pretrained weights were used: a transformer that starts from nothing on so few images is hardly better than "
    "comparing raw pixels with the nearest neighbours. Pretrained features make the difference on photographs."
)


def _pixels(part: pa.Table, built: BuiltModel) -> np.ndarray:
    return np.concatenate(list(pixel_batches(places_of(part), built.preprocessing, batch_size=256, workers=0)))


def _inputs(pixels: np.ndarray, built: BuiltModel) -> torch.Tensor:
    return as_input(pixels, built.preprocessing.mean, built.preprocessing.std)


def _parameters(built: BuiltModel) -> int:
    return sum(parameter.numel() for parameter in built.model.parameters())


def _answers(built: BuiltModel, pixels: dict[str, np.ndarray], labels: np.ndarray) -> Answers:
    """The model's logits, and what nearest neighbours on raw pixels say."""
    with torch.inference_mode():
        logits = built.model(_inputs(pixels["val"], built)).numpy()
    flat = {split: values.reshape(len(values), -1).astype(np.float32) for split, values in pixels.items()}
    return Answers(logits, fit_neighbours(flat["train"], labels).predict(flat["val"]))


def _tried(package: Path, part: pa.Table) -> tuple[list[Prediction], list[str]]:
    """What the package on disk says of the first image of some classes."""
    paths, labels = part["path"].to_pylist(), part["label"].to_pylist()
    first = {label: path for path, label in zip(reversed(paths), reversed(labels), strict=True)}
    shown = sorted(first)[:5]
    return load(package).predict([first[label] for label in shown]), shown
