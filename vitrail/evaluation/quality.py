"""One judgement of one set of predictions: every figure with its n and interval, always in the same fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vitrail.basics.errors import InputError
from vitrail.basics.seeds import derived_seed
from vitrail.measures.calibration import Calibration, expected_calibration_error, log_loss
from vitrail.measures.classification import (
    Verdict,
    accuracy,
    accuracy_above_majority,
    balanced_accuracy,
    confusion_matrix,
    majority_baseline,
)
from vitrail.measures.intervals import Measure
from vitrail.measures.per_class import ClassQuality, per_class
from vitrail.measures.ranking import macro_roc_auc, roc_auc


@dataclass(frozen=True)
class Predictions:
    """What a model said about images whose labels are known; position i is the same image in every field.

    Args:
        ids: the image ids; copies of one image share theirs.
        paths: where the images lie.
        labels: number of the true class, [N], an index into `classes`.
        probabilities: [N, K], each row in [0, 1] with sum 1.
        classes: the K class names.
        measured_on: the split these images are: "val", "test", …
        groups: the patient (or whatever images share) of each image, None for an image without one; leave it out
            where images are independent.

    Raises:
        InputError: lengths differ, there is no image, a label is no class, a row is no probability distribution.
    """

    ids: Sequence[str]
    paths: Sequence[str]
    labels: Int[np.ndarray, "N"]
    probabilities: Float[np.ndarray, "_ K"]
    classes: Sequence[str]
    measured_on: str
    groups: Sequence[str | None] | None = None

    def __post_init__(self) -> None:
        _check_lengths(self)
        _check_values(self)

    def group_numbers(self) -> Int[np.ndarray, "N"] | None:
        """Groups numbered from 0; an image without a group is a group of its own. None when all images are alone."""
        if self.groups is None:
            return None
        pairs = zip(self.ids, self.groups, strict=True)
        names = [(False, identity) if group is None else (True, group) for identity, group in pairs]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return np.array([numbers[name] for name in names], dtype=np.int64) if len(numbers) < len(names) else None


@dataclass(frozen=True)
class Quality:
    """How good a classifier is on one split.

    `confusion` counts images, row = true class, column = predicted class. `most_wrong` are positions in the judged
    predictions: the wrong ones, least probable true class first. `groups` is the number of groups that intervals
    were drawn from, None when images count as independent.
    """

    measured_on: str
    n: int
    groups: int | None
    classes: tuple[str, ...]
    accuracy: Measure
    majority: Measure
    majority_class: str
    verdict: Verdict
    balanced_accuracy: Measure
    auc: Measure
    log_loss: Measure
    calibration: Calibration
    per_class: tuple[ClassQuality, ...]
    confusion: Int[np.ndarray, "K K"]
    most_wrong: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values, under the same names."""
        return {
            "measured_on": self.measured_on,
            "n": self.n,
            "groups": self.groups,
            "classes": list(self.classes),
            "accuracy": self.accuracy.as_json(),
            "majority": self.majority.as_json(),
            "majority_class": self.majority_class,
            "verdict": self.verdict.as_json(),
            "balanced_accuracy": self.balanced_accuracy.as_json(),
            "auc": self.auc.as_json(),
            "log_loss": self.log_loss.as_json(),
            "calibration": self.calibration.as_json(),
            "per_class": [quality.as_json() for quality in self.per_class],
            "confusion": self.confusion.tolist(),
            "most_wrong": list(self.most_wrong),
        }


def judge(predictions: Predictions, *, seed: int) -> Quality:
    """Measure everything that the report shows about one split.

    With two classes the AUC is that of the second one; with more it is the mean over classes, each against the rest.

    Args:
        predictions: at least one image.
        seed: decides the bootstrap draws; the same seed gives the same intervals.
    """
    labels, probabilities = predictions.labels, predictions.probabilities
    classes = tuple(predictions.classes)
    predicted = probabilities.argmax(axis=1)
    groups = predictions.group_numbers()
    drawn: dict[str, Any] = {"groups": groups, "seed": derived_seed(seed, "judge", predictions.measured_on)}
    if len(classes) == 2:
        auc = roc_auc(labels == 1, probabilities[:, 1], **drawn)
    else:
        auc = macro_roc_auc(labels, probabilities, classes=classes, **drawn)
    return Quality(
        measured_on=predictions.measured_on,
        n=len(labels),
        groups=None if groups is None else int(groups.max()) + 1,
        classes=classes,
        accuracy=accuracy(labels, predicted, **drawn),
        majority=majority_baseline(labels, **drawn),
        majority_class=classes[int(np.bincount(labels).argmax())],
        verdict=accuracy_above_majority(labels, predicted, **drawn),
        balanced_accuracy=balanced_accuracy(labels, predicted, **drawn),
        auc=auc,
        log_loss=log_loss(labels, probabilities, **drawn),
        calibration=expected_calibration_error(labels, probabilities, **drawn),
        per_class=per_class(labels, predicted, classes=classes, **drawn),
        confusion=confusion_matrix(labels, predicted, classes=len(classes)),
        most_wrong=_most_wrong(labels, probabilities),
    )


def _most_wrong(labels: Int[np.ndarray, "N"], probabilities: Float[np.ndarray, "N K"]) -> tuple[int, ...]:
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(probabilities[wrong, labels[wrong]], kind="stable")
    return tuple(wrong[order].tolist())


def _check_lengths(predictions: Predictions) -> None:
    lengths = {
        "ids": len(predictions.ids),
        "paths": len(predictions.paths),
        "labels": len(predictions.labels),
        "probabilities": len(predictions.probabilities),
    }
    if predictions.groups is not None:
        lengths["groups"] = len(predictions.groups)
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise InputError(f"predictions need one entry per image in every field, got {shown}")
    if not lengths["ids"]:
        raise InputError(
            f"there are no predictions on {predictions.measured_on!r} to judge",
            hint="check that the split has readable images: vitrail check DATA",
        )


def _check_values(predictions: Predictions) -> None:
    labels, probabilities, K = predictions.labels, predictions.probabilities, len(predictions.classes)
    if probabilities.shape[1] != K:
        raise InputError(f"probabilities have {probabilities.shape[1]} columns, but there are {K} classes")
    if labels.min() < 0 or labels.max() >= K:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise InputError(f"label {wrong} is no class: expected 0 to {K - 1}")
    # Half precision adds up to 1 within 1e-2 for many classes; anything further off is not a softmax.
    fine = (probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) < 1e-2)
    if not fine.all():
        row = int(np.flatnonzero(~fine)[0])
        total = float(probabilities[row].sum())
        raise InputError(
            f"{(~fine).sum()} of {len(fine)} rows are no probabilities; the first is that of "
            f"{predictions.paths[row]}, with sum {total:.4g} and smallest value {float(probabilities[row].min()):.4g}",
            hint="apply softmax to the logits first",
        )
