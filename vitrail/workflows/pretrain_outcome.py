"""What pretraining leaves behind: the weights with their card, and the report."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.versions import versions
from vitrail.evaluation.card import formula_weights_card
from vitrail.evaluation.pretraining_report import PretrainingReport, write_pretraining_report
from vitrail.measures.intervals import Measure, wilson
from vitrail.models.pretrained_folder import write_pretrained
from vitrail.models.ready import ReadyModel
from vitrail.training.digits_probe import DIGITS_JUDGED
from vitrail.training.state import TrainingState
from vitrail.workflows.pretrain_settings import PretrainSettings


@dataclass(frozen=True)
class Pretrained:
    """Everything that weights folder and report are written from.

    Attributes:
        settings: of the run.
        built: the model with its last weights.
        reason: why its steps were computed as they were, in words.
        state: of training, at its end.
        redrawn: how often a class of formula images was drawn again.
    """

    settings: PretrainSettings
    built: ReadyModel
    reason: str
    state: TrainingState
    redrawn: int


def keep_weights(done: Pretrained, folder: Path) -> Path:
    """Write the folder that a fit starts from; nothing in it names a path.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    facts = {
        "created": time.strftime("%Y-%m-%d"),
        "settings": done.settings.model_dump(mode="json"),
        "last_epoch": done.state.history[-1],
        "seconds": round(done.state.seconds, 1),
        "precision": done.reason,
        "versions": versions(),
    }
    card = formula_weights_card(facts=weights_facts(done))
    write_pretrained(folder, done.built, card=card, facts=facts, dtype=getattr(torch, done.settings.weights_dtype))
    return folder


def last_figures(done: Pretrained) -> dict[str, Measure]:
    """Accuracy after the last step: of a probe on digits, and on held-out renderings."""
    last, settings = done.state.history[-1], done.settings
    counted = {
        "digits": (last["digits_probe_accuracy"], DIGITS_JUDGED),
        "renderings": (last["validation_accuracy"], settings.images.classes * settings.training.held_out_renderings),
    }
    return {name: wilson(round(share * n), n, name="accuracy") for name, (share, n) in counted.items()}


def weights_facts(done: Pretrained) -> dict[str, Any]:
    """The weights in a few words and numbers, for card and report."""
    settings, figures = done.settings, last_figures(done)
    images, training, network = settings.images, settings.training, settings.network
    model: Any = done.built.model
    classifier = sum(parameter.numel() for parameter in model.get_classifier().parameters())
    return {
        "architecture": f"ViT, width {network.width}, depth {network.depth}, heads {network.heads}, patch "
        f"{network.patch}, pooling {network.pooling}",
        "parameters": sum(parameter.numel() for parameter in model.parameters()) - classifier,
        "image_size": f"{training.sizes[-1]} × {training.sizes[-1]}",
        "kept_in": settings.weights_dtype,
        "pretrained_on": f"{images.classes:,} classes of formula images ({', '.join(images.families)}), "
        f"{images.renderings:,} renderings of each",
        "images_seen": training.total_steps * training.images_per_step,
        "accuracy_on_held_out_renderings": figures["renderings"].text(),
        "accuracy_of_a_linear_probe_on_digits": figures["digits"].text(),
        "training_seconds": round(done.state.seconds, 1),
        "seed": settings.seed,
    }


def step_speed(state: TrainingState) -> dict[str, float]:
    """What the steps took, without validation: their seconds, images per second, and percent spent waiting."""
    (spent,) = state.spent.values()
    seconds = max(spent["seconds"], 1e-9)
    return {
        "seconds": round(spent["seconds"], 2),
        "images_per_second": round(spent["images"] / seconds, 1),
        "waiting_percent": round(100 * spent["waited"] / seconds, 1),
    }


def report(done: Pretrained, folder: Path, *, command: str, timings: Mapping[str, float]) -> Path:
    """Write `report.html` and `report.json` and return the page's path.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    speed = step_speed(done.state)
    sentences = [
        f"Steps were computed in {done.reason}.",
        f"{speed['images_per_second']:,.0f} images per second in the steps; {speed['waiting_percent']:.1f} % of their "
        "time was spent waiting for images.",
    ]
    if done.redrawn:
        sentences.append(f"Numbers of a class that gave an almost empty image and were drawn again: {done.redrawn}.")
    if done.state.skipped:
        sentences.append(f"{done.state.skipped} steps were left out because their gradient was not finite.")
    source = shlex.quote(f"local-dir:{folder / 'package'}")
    page = PretrainingReport(
        title="Pretraining on formula images",
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        seed=done.settings.seed,
        figures=last_figures(done),
        model=weights_facts(done),
        settings=done.settings.model_dump(mode="json"),
        epochs=done.state.history,
        chosen=sentences,
        speed=speed,
        timings={**timings, "training": done.state.seconds},
        versions=versions(),
        next_commands=[f"vitrail fit PHOTOS --model {source}"],
    )
    return write_pretraining_report(page, folder)
