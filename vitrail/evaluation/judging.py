"""Judging answers on every split that was not trained on, with nearest neighbours beside them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from vitrail.basics.errors import TrainingFault
from vitrail.data.columns import in_split, labels_of
from vitrail.data.split import leaked_ids
from vitrail.data.split_images import SplitImages
from vitrail.evaluation.quality import Predictions, Quality, judge
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure


@dataclass(frozen=True)
class Judged:
    """Predictions and figures by split; no split here was trained on.

    Attributes:
        classes: names in the order of the outputs.
        predictions: the model's.
        quality: of these predictions.
        neighbours: accuracy of the nearest neighbours.
        leak_free: the model's accuracy without images whose copy or look-alike is among the training images; only for
            splits that hold such images.
    """

    classes: list[str]
    predictions: dict[str, Predictions]
    quality: dict[str, Quality]
    neighbours: dict[str, Measure]
    leak_free: dict[str, Measure]


def judge_splits(
    logits: Mapping[str, Float[np.ndarray, "_ K"]],
    neighbours: Mapping[str, Int[np.ndarray, "_"]],
    images: SplitImages,
    *,
    seed: int,
) -> Judged:
    """Judge every split that was answered about.

    Args:
        logits: the model's answers by split, in the order of the split's rows.
        neighbours: what the nearest neighbours say, as class numbers.
        images: all images of the run.
        seed: of the bootstrap.
    """
    rows, classes = images.rows, images.classes
    leaked = leaked_ids(rows)
    judged = Judged(classes, {}, {}, {}, {})
    for split, answered in logits.items():
        predictions = predictions_of(in_split(rows, split), answered, classes, split)
        groups = predictions.group_numbers()
        judged.predictions[split] = predictions
        judged.quality[split] = judge(predictions, seed=seed)
        judged.neighbours[split] = accuracy(predictions.labels, neighbours[split], groups=groups, seed=seed)
        leak_free = _leak_free(predictions, leaked, groups, seed)
        if leak_free is not None:
            judged.leak_free[split] = leak_free
    return judged


def predictions_of(part: pa.Table, logits: np.ndarray, classes: list[str], split: str) -> Predictions:
    """What logits (N, K) say about the rows of a split.

    Raises:
        TrainingFault: an answer is not a number; figures of it would be none either.
    """
    wrong = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(wrong):
        raise TrainingFault(
            f"the model's answer to {len(wrong)} of {len(logits)} {split} images is not a number (NaN or infinity), "
            f"first {part['path'][int(wrong[0])].as_py()}",
            hint="train with a lower learning rate (--set learning_rate=…), or from other weights",
        )
    groups = part["group"].to_pylist()
    return Predictions(
        ids=part["id"].to_pylist(),
        paths=part["path"].to_pylist(),
        labels=labels_of(part, classes),
        probabilities=_softmax(logits),
        classes=classes,
        measured_on=split,
        groups=groups if any(groups) else None,
    )


def _leak_free(predictions: Predictions, leaked: set[str], groups: np.ndarray | None, seed: int) -> Measure | None:
    fresh = np.array([identity not in leaked for identity in predictions.ids])
    if fresh.all() or not fresh.any():
        return None
    predicted = predictions.probabilities.argmax(axis=1)
    renumbered = None if groups is None else np.unique(groups[fresh], return_inverse=True)[1]
    return accuracy(predictions.labels[fresh], predicted[fresh], groups=renumbered, seed=seed)


def _softmax(logits: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
