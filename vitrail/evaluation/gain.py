"""What pretraining gained: the same network from nothing, with as many steps, on the same held-out images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from vitrail.data.split_images import SplitImages
from vitrail.evaluation.training_section import epoch_rows
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure
from vitrail.measures.transfer import transfer_gain
from vitrail.training.arm import Arm


def gain_section(
    images: SplitImages,
    split: str,
    transfer: Float[np.ndarray, "N K"],
    scratch: Arm,
    *,
    random_accuracy: float | None,
    seed: int,
) -> dict[str, Any]:
    """The section of the report under the names of its template.

    Args:
        images: all images of the run.
        split: which of them were answered about.
        transfer: logits of the pretrained model.
        scratch: the arm from nothing, which answered about the same split.
        random_accuracy: what answering by chance reaches; None: one divided by the classes.
        seed: of the bootstrap.
    """
    assert scratch.trained is not None
    labels, groups, answered = images.labelled(split).labels, images.groups(split), scratch.logits[split]
    gain = transfer_gain(
        transfer.argmax(axis=1) == labels, answered.argmax(axis=1) == labels,
        classes=len(images.classes), random_accuracy=random_accuracy, groups=groups, seed=seed,
    )  # fmt: skip
    return {
        "measured_on": split,
        "epochs": epoch_rows(scratch.trained, images),
        "seconds": round(scratch.trained.state.seconds, 1),
        "accuracy": accuracy(labels, answered.argmax(axis=1), groups=groups, seed=seed).as_json(),
        "gain": gain.as_json(),
    }


def gain_sentences(section: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The comparison in a sentence, where there was one."""
    if section is None:
        return ()
    gain = Measure.from_json(section["gain"]["absolute_improvement"])
    known = gain.value is not None and gain.low is not None and gain.high is not None
    span = f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})" if known else ""  # type: ignore[operator]
    return (
        f"From nothing, with as many epochs, the same network reaches {Measure.from_json(section['accuracy']).text()} "
        f"on {section['measured_on']}; pretraining gained {100 * (gain.value or 0):+.1f} points{span}.",
    )
