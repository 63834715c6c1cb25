"""What is learned on features: the probe and the nearest neighbours beside it, and what both answer."""

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from vitrail.basics.events import Emit, nobody
from vitrail.data.columns import in_split, labels_of
from vitrail.features.neighbours import fit_neighbours
from vitrail.features.probe import Probe, fit_probe
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.judging import Answers

Features = dict[str, Float[np.ndarray, "_ D"]]
"""Pooled features by split, in the order of the split's rows."""


def learn_heads(
    features: Features, rows: pa.Table, classes: list[str], settings: FitSettings, *, emit: Emit = nobody
) -> tuple[Probe, dict[str, Answers]]:
    """Fit probe and neighbours on the training images; what they answer about every other split.

    Raises:
        InputError: the training images are all of one class.
    """
    training = in_split(rows, "train")
    labels = labels_of(training, classes)
    groups = training["group"].to_pylist()
    probe = fit_probe(features["train"], labels, settings.probe, groups=groups, seed=settings.seed, emit=emit)
    neighbours = fit_neighbours(features["train"], labels, seed=settings.seed)
    held_out = {split: values for split, values in features.items() if split != "train"}
    answers = {split: Answers(probe.logits(values), neighbours.predict(values)) for split, values in held_out.items()}
    return probe, answers
