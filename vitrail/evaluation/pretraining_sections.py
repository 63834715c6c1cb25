"""The sections of a pretraining's report: how good the weights are, how it went, what they are, with which settings."""

from collections.abc import Mapping
from typing import Any

from vitrail.evaluation.pretraining_facts import (
    Pretrained,
    last_figures,
    pretraining_speed,
    weights_facts,
    what_was_decided,
)
from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.pages.curves import curve_svg, epoch_series


def pretraining_sections(done: Pretrained, settings: Mapping[str, Any]) -> list[Section]:
    """All of them, in the order of the page.

    Args:
        done: what came of it.
        settings: of the run, by part, as JSON values.
    """
    figures = {name: measure.as_json() for name, measure in last_figures(done).items()}
    course = {"epochs": done.state.history, "speed": pretraining_speed(done.state)}
    return [
        Section("pretraining", 1, "How good the weights are", figures, template="sections/pretraining.html"),
        Section(
            "training", 1, "How it went", course, list(map(Sentence, what_was_decided(done))),
            "sections/pretraining_course.html", draw=_curves,
        ),
        Section("weights", 1, "The weights", weights_facts(done)),
        Section("settings", 1, "Settings", settings),
    ]  # fmt: skip


def _curves(figures: Figures) -> dict[str, Any]:
    epochs = figures["epochs"]
    losses = [
        epoch_series(epochs, "training_loss", name="training"),
        epoch_series(epochs, "validation_loss", name="held-out renderings"),
    ]
    accuracies = [
        epoch_series(epochs, "validation_accuracy", name="held-out renderings"),
        epoch_series(epochs, "digits_probe_accuracy", name="probe on digits"),
    ]
    return {
        "curves": [
            curve_svg(losses, title="Loss per epoch", y_label="loss in nats"),
            curve_svg(accuracies, title="Accuracy per epoch", y_label="accuracy", percent=True),
        ]
    }
