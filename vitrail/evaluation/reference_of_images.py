"""A reference for a package that has none, from images that somebody has labelled."""

import hashlib

import numpy as np
from jaxtyping import Bool

from vitrail.basics.errors import InputError
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.prediction.likeness import trained_images
from vitrail.prediction.predictor import Predictor
from vitrail.prediction.reference_making import (
    LEAST_TRAINING,
    MOST_IMAGES,
    KnownFeatures,
    made_reference,
    why_no_reference,
)


def reference_of_images(predictor: Predictor, judged: JudgedImages) -> ShiftReference:
    """What the images are like that a model knows.

    Images that the model was trained on lie nearer to their class than others: they tell means and covariances, but
    never what is usual. Where the package does not know which these are, or none is here, images (whole groups) are
    divided by the hash of their ids.

    Args:
        predictor: the model.
        judged: images with labels and features.

    Raises:
        InputError: there are too few images that it was not trained on, features are not numbers, or nothing varies.
    """
    assert judged.features is not None
    seen = trained_images(predictor.package)
    trained = np.zeros(len(judged), dtype=bool) if seen is None else seen.overlap(judged.ids)
    training = trained if trained.sum() >= LEAST_TRAINING else trained | _half(judged)
    why_none = why_no_reference(int(training.sum()), int((~training).sum()))
    if why_none is not None:
        raise InputError(
            f"no reference can be made of {len(judged)} images: {why_none} ({int(trained.sum())} of them were trained "
            "on)",
            hint="give labelled images that the model was not trained on, such as the validation images of its fit",
        )
    fitted, held_out = (judged.where(_at_most(mask)) for mask in (training, ~training))
    assert fitted.features is not None and held_out.features is not None
    known = KnownFeatures(
        training=fitted.features,
        labels=fitted.labels,
        held_out=held_out.features,
        predicted=held_out.most_probable,
        groups=held_out.groups if held_out.group_count != len(held_out) else None,
        source="images that were given after the fit",
    )
    return made_reference(known, classes=len(judged.classes), preprocessing=predictor.preprocessing)


def _half(judged: JudgedImages) -> Bool[np.ndarray, "N"]:
    names = judged.ids if judged.groups is None else map(str, judged.groups)
    return np.array([hashlib.sha256(name.encode()).digest()[0] % 2 == 0 for name in names])


def _at_most(mask: Bool[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    places = np.flatnonzero(mask)
    numbers = np.unique(np.linspace(0, len(places) - 1, min(len(places), MOST_IMAGES)).round().astype(int))
    kept = np.zeros(len(mask), dtype=bool)
    kept[places[numbers]] = True
    return kept
