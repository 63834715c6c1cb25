"""What is learned on features: the probe and the nearest neighbours beside it, and what both answer."""

import numpy as np
from jaxtyping import Float

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.data.columns import in_split, labels_of
from vitrail.features.neighbours import fit_neighbours
from vitrail.features.probe import Probe, fit_probe
from vitrail.measures.classification import accuracy
from vitrail.workflows.fit_data import FitImages
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.judging import Answers, group_numbers

Features = dict[str, Float[np.ndarray, "_ D"]]
"""Pooled features by split, in the order of the split's rows."""


def learn_heads(
    features: Features, images: FitImages, settings: FitSettings, *, emit: Emit = nobody
) -> tuple[Probe, dict[str, Answers]]:
    """Fit probe and neighbours on the training images; what they answer about every other split.

    Raises:
        InputError: the training images are all of one class.
    """
    training = in_split(images.rows, "train")
    labels = labels_of(training, images.classes)
    groups = training["group"].to_pylist()
    probe = fit_probe(features["train"], labels, settings.probe, groups=groups, seed=settings.seed, emit=emit)
    neighbours = fit_neighbours(features["train"], labels, seed=settings.seed)
    held_out = {split: values for split, values in features.items() if split != "train"}
    answers = {split: Answers(probe.logits(values), neighbours.predict(values)) for split, values in held_out.items()}
    return probe, answers


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


def tell_first_figures(answers: dict[str, Answers], images: FitImages, emit: Emit) -> None:
    """A first number, within the first minute: what probe and neighbours are worth on the validation images."""
    labels = images.labelled("val").labels
    groups = group_numbers(images.rows, "val")
    probe = accuracy(labels, answers["val"].logits.argmax(axis=1), groups=groups)
    neighbours = accuracy(labels, answers["val"].neighbours, groups=groups)
    emit(Noted(f"probe    {probe.text()}   nearest neighbours {neighbours.text()}"))
