"""What pretraining gained: the same network from nothing, with as many steps, on the same held-out images."""

from collections.abc import Mapping
from typing import Any

from vitrail.data.split_images import SplitImages
from vitrail.evaluation.section import Section, Sentence
from vitrail.evaluation.training_section import epoch_rows
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure
from vitrail.measures.transfer import transfer_gain
from vitrail.pages.curves import gain_plot
from vitrail.pages.numbers import split_name
from vitrail.training.arm import Arm


def gain_section(
    images: SplitImages,
    split: str,
    transferred: Arm,
    scratch: Arm,
    *,
    random_accuracy: float | None,
    seed: int,
) -> Section:
    """What pretraining was worth.

    Args:
        images: all images of the run.
        split: which of them both answered about.
        transferred: the arm that began with pretrained weights.
        scratch: the arm from nothing.
        random_accuracy: what answering by chance reaches; None: one divided by the classes.
        seed: of the bootstrap.
    """
    assert scratch.trained is not None
    labels, groups = images.labelled(split).labels, images.groups(split)
    mine, theirs = (arm.logits[split].argmax(axis=1) for arm in (transferred, scratch))
    gain = transfer_gain(
        mine == labels, theirs == labels,
        classes=len(images.classes), random_accuracy=random_accuracy, groups=groups, seed=seed,
    )  # fmt: skip
    figures = {
        "measured_on": split,
        "epochs": epoch_rows(scratch.trained, images),
        "transferred_epochs": [] if transferred.trained is None else epoch_rows(transferred.trained, images),
        "seconds": round(scratch.trained.state.seconds, 1),
        "accuracy": accuracy(labels, theirs, groups=groups, seed=seed).as_json(),
        "gain": gain.as_json(),
    }
    return Section(
        "gain", 1, "What pretraining was worth", figures, [Sentence(gain_sentence(figures))], "sections/gain.html",
        packaged=("measured_on", "accuracy", "gain"),
        draw=lambda told: {"against": gain_plot(told["transferred_epochs"], told["epochs"])},
    )  # fmt: skip


def gain_sentence(figures: Mapping[str, Any]) -> str:
    """What the comparison came to, for page and terminal, from the section's figures."""
    gain = Measure.from_json(figures["gain"]["absolute_improvement"])
    known = gain.value is not None and gain.low is not None and gain.high is not None
    span = f" ({_points(gain.low)} to {_points(gain.high)})" if known else ""  # type: ignore[arg-type]
    return (
        f"From nothing, with as many epochs, the same network reaches {Measure.from_json(figures['accuracy']).text()} "
        f"on the same {split_name(figures['measured_on'])} images; pretraining gained {_points(gain.value or 0)} "
        f"points{span}."
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
