"""What a pretraining came to, in figures and words: for the card of its weights, and for its report."""

from dataclasses import dataclass
from typing import Any

from vitrail.data.formula.settings import FormulaSettings
from vitrail.evaluation.training_section import step_speed
from vitrail.measures.intervals import Measure, wilson
from vitrail.models.plain_vit import PlainVitSettings
from vitrail.models.ready import ReadyModel
from vitrail.training.digits_probe import DIGITS_JUDGED, PROBE
from vitrail.training.pretraining_settings import PretrainingSettings
from vitrail.training.state import TrainingState


@dataclass(frozen=True)
class Pretrained:
    """Everything that card and report are written from.

    Attributes:
        built: the model with its last weights.
        state: of training, at its end.
        reason: why its steps were computed as they were, in words.
        redrawn: how often a class of formula images was drawn again.
        images: the settings of these images.
        network: the settings of the network.
        training: how long and how fast it was trained.
        seed: of the run.
        kept_in: how the weights' numbers are kept.
    """

    built: ReadyModel
    state: TrainingState
    reason: str
    redrawn: int
    images: FormulaSettings
    network: PlainVitSettings
    training: PretrainingSettings
    seed: int
    kept_in: str

    @property
    def images_seen(self) -> int:
        """Views that were trained on."""
        return self.training.total_steps * self.training.images_per_step

    @property
    def last(self) -> dict[str, Any]:
        """The record of the last epoch, as in `metrics.jsonl`."""
        return self.state.history[-1]


def last_figures(done: Pretrained) -> dict[str, Measure]:
    """Accuracy after the last step: of a probe on digits, and on held-out renderings."""
    counted = {
        "digits": (done.last[PROBE], DIGITS_JUDGED),
        "renderings": (done.last["validation_accuracy"], done.images.classes * done.training.held_out_renderings),
    }
    return {name: wilson(round(share * n), n, name="accuracy") for name, (share, n) in counted.items()}


def weights_facts(done: Pretrained) -> dict[str, Any]:
    """The weights in a few words and numbers, for card and report."""
    figures, images, training, network = last_figures(done), done.images, done.training, done.network
    model: Any = done.built.model
    classifier = sum(parameter.numel() for parameter in model.get_classifier().parameters())
    return {
        "architecture": f"ViT, width {network.width}, depth {network.depth}, heads {network.heads}, patch "
        f"{network.patch}, pooling {network.pooling}",
        "parameters": done.built.parameters - classifier,
        "image_size": f"{training.sizes[-1]} × {training.sizes[-1]}",
        "kept_in": done.kept_in,
        "pretrained_on": f"{images.classes:,} classes of formula images ({', '.join(images.families)}), "
        f"{images.renderings:,} renderings of each",
        "images_seen": done.images_seen,
        "accuracy_on_held_out_renderings": figures["renderings"].text(),
        "accuracy_of_a_linear_probe_on_digits": figures["digits"].text(),
        "training_seconds": round(done.state.seconds, 1),
        "seed": done.seed,
    }


def pretraining_speed(state: TrainingState) -> dict[str, float]:
    """What the steps of the only stage took; see `step_speed`."""
    (stage,) = state.spent
    return step_speed(state, stage)


def what_was_decided(done: Pretrained) -> list[str]:
    """How the steps were computed and how fast, what was drawn again and what was left out, in sentences."""
    speed = pretraining_speed(done.state)
    sentences = [
        f"Steps were computed in {done.reason}.",
        f"{speed['images_per_second']:,.0f} images per second in the steps; {speed['waiting_percent']:.1f} % of their "
        "time was spent waiting for images.",
    ]
    if done.redrawn:
        sentences.append(f"Numbers of a class that gave an almost empty image and were drawn again: {done.redrawn}.")
    return [*sentences, *done.state.left_out()]
