"""What is learned on features: the probe and the nearest neighbours beside it, and what both answer."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.data.columns import in_split, labels_of
from vitrail.data.split_images import SplitImages
from vitrail.features.neighbours import fit_neighbours
from vitrail.features.probe import Probe, ProbeSettings, fit_probe
from vitrail.measures.classification import accuracy

Features = dict[str, Float[np.ndarray, "_ D"]]
"""Pooled features by split, in the order of the split's rows."""


@dataclass(frozen=True)
class LearnedHeads:
    """Probe and neighbours, and what they answer about every split that they were not fitted on.

    Attributes:
        probe: the linear classifier.
        logits: the probe's, by split, in the order of the split's rows.
        neighbours: class numbers that the nearest neighbours say, likewise.
    """

    probe: Probe
    logits: dict[str, Float[np.ndarray, "_ K"]]
    neighbours: dict[str, Int[np.ndarray, "_"]]


def learn_heads(
    features: Features, images: SplitImages, settings: ProbeSettings, *, seed: int, emit: Emit = nobody,
    weights: Float[np.ndarray, "N"] | None = None,
) -> LearnedHeads:  # fmt: skip
    """Fit probe and neighbours on the training images, and ask them about all others.

    Args:
        features: by split.
        images: all images of the run.
        settings: of the probe.
        seed: of its folds.
        emit: receives progress.
        weights: how much each training image counts for the probe; None: all the same.

    Raises:
        InputError: the training images are all of one class.
    """
    training = in_split(images.rows, "train")
    labels = labels_of(training, images.classes)
    groups = training["group"].to_pylist()
    probe = fit_probe(features["train"], labels, settings, groups=groups, seed=seed, emit=emit, weights=weights)
    neighbours = fit_neighbours(features["train"], labels, seed=seed)
    held_out = {split: values for split, values in features.items() if split != "train"}
    return LearnedHeads(
        probe,
        {split: probe.logits(values) for split, values in held_out.items()},
        {split: neighbours.predict(values) for split, values in held_out.items()},
    )


def probe_words(probe: Probe) -> str:
    """How the probe was made, in a few words."""
    return f"linear probe on frozen features, L2 strength C = {probe.strength:g}"


def probe_sentence(probe: Probe, wanted_folds: int) -> str:
    """How the probe was made, as a sentence; also that there were fewer folds than are usual."""
    words = probe_words(probe)
    words = f"{words[0].upper()}{words[1:]}"
    if not probe.folds:
        return f"{words}: the training images do not suffice to choose it by cross-validation."
    fewer = (
        f" in {probe.folds} folds, for more there are too few images or groups" if probe.folds < wanted_folds else ""
    )
    return f"{words}, chosen by cross-validated log loss{fewer}."


def tell_first_figures(heads: LearnedHeads, images: SplitImages, emit: Emit) -> None:
    """A first number, within the first minute: what probe and neighbours are worth on the validation images."""
    labels, groups = images.labelled("val").labels, images.groups("val")
    probe = accuracy(labels, heads.logits["val"].argmax(axis=1), groups=groups)
    neighbours = accuracy(labels, heads.neighbours["val"], groups=groups)
    emit(Noted(f"probe    {probe.text()}   nearest neighbours {neighbours.text()}"))
