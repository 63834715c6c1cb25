"""The quality of a classifier on one split: every figure with its n and interval.

A figure is named once, as a field of `Quality`: how it is measured stands beside it, and JSON, page and package follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from jaxtyping import Int

from vitrail.basics.seeds import derived_seed
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.two_classes import (
    Decided,
    OtherThreshold,
    decided_of,
    operating_point_of,
    other_thresholds,
    roc_of,
)
from vitrail.measures.average_precision import average_precision
from vitrail.measures.calibration import Calibration, brier_score, expected_calibration_error, log_loss
from vitrail.measures.classification import (
    Verdict,
    accuracy,
    accuracy_above_majority,
    balanced_accuracy,
    confusion_matrix,
    majority_baseline,
)
from vitrail.measures.conformal_sets import ConformalSets, conformal_sets
from vitrail.measures.intervals import Measure
from vitrail.measures.operating_point import OperatingPoint, RocPoint
from vitrail.measures.per_class import ClassQuality, per_class
from vitrail.measures.ranking import macro_roc_auc, roc_auc
from vitrail.measures.selective import Selective, selective

Drawn = Mapping[str, Any]
"""`groups` and `seed`: what every interval is drawn from."""


def _by(measured: Callable[[JudgedImages, Drawn], Any], *, title: str | None = None) -> dict[str, Any]:
    """How a figure of `Quality` is measured, and its heading in the table of figures, if it stands there."""
    return {"measured": measured, "title": title}


def _from_answers(measure: Callable[..., Any], *, title: str | None = None) -> dict[str, Any]:
    """By a measure of `(labels, predicted)`, both class numbers [N]."""
    return _by(lambda judged, drawn: measure(judged.labels, judged.predicted, **drawn), title=title)


def _from_probabilities(measure: Callable[..., Any], *, title: str | None = None) -> dict[str, Any]:
    """By a measure of `(labels, probabilities)`, class numbers [N] and [N, K]."""
    return _by(lambda judged, drawn: measure(judged.labels, judged.probabilities, **drawn), title=title)


@dataclass(frozen=True)
class Quality:
    """How good a classifier is on one split.

    `confusion` counts images, row = true class, column = predicted class. `most_wrong` are positions in the judged
    images: the wrong ones, least probable true class first. `groups` is the number of groups that intervals
    were drawn from, None when images count as independent. With two classes `auc` and `average_precision` are those of
    the second one, and `roc`, `operating_point` and `other_thresholds` tell where it is told from the first; with more
    they are means over classes, each against the rest, and there is no such point.
    """

    measured_on: str = field(metadata=_by(lambda judged, _: judged.measured_on))
    n: int = field(metadata=_by(lambda judged, _: len(judged)))
    groups: int | None = field(metadata=_by(lambda judged, _: judged.group_count))
    classes: tuple[str, ...] = field(metadata=_by(lambda judged, _: judged.classes))
    accuracy: Measure = field(metadata=_from_answers(accuracy, title="Accuracy"))
    majority: Measure = field(metadata=_by(lambda judged, drawn: majority_baseline(judged.labels, **drawn)))
    majority_class: str = field(metadata=_by(lambda judged, _: judged.majority_class))
    verdict: Verdict = field(metadata=_from_answers(accuracy_above_majority))
    balanced_accuracy: Measure = field(metadata=_from_answers(balanced_accuracy, title="Balanced accuracy"))
    auc: Measure = field(metadata=_by(lambda judged, drawn: _auc(judged, drawn), title="ROC AUC"))
    average_precision: Measure = field(
        metadata=_by(
            lambda judged, drawn: average_precision(
                judged.labels, judged.probabilities, classes=judged.classes, **drawn
            ),
            title="Average precision",
        )
    )
    log_loss: Measure = field(metadata=_from_probabilities(log_loss, title="Log loss"))
    brier: Measure = field(metadata=_from_probabilities(brier_score, title="Brier score"))
    calibration: Calibration = field(
        metadata=_from_probabilities(expected_calibration_error, title="Calibration error")
    )
    selective: Selective = field(metadata=_by(lambda judged, drawn: _selective(judged, drawn)))
    conformal: ConformalSets = field(
        metadata=_by(
            lambda judged, drawn: conformal_sets(judged.labels, judged.probabilities, classes=judged.classes, **drawn)
        )
    )
    roc: tuple[RocPoint, ...] = field(metadata=_by(lambda judged, _: roc_of(judged)))
    operating_point: OperatingPoint | None = field(metadata=_by(lambda judged, _: operating_point_of(judged)))
    decided: Decided | None = field(metadata=_by(lambda judged, _: decided_of(judged)))
    other_thresholds: tuple[OtherThreshold, ...] = field(metadata=_by(lambda judged, _: other_thresholds(judged)))
    per_class: tuple[ClassQuality, ...] = field(
        metadata=_by(lambda judged, drawn: per_class(judged.labels, judged.predicted, classes=judged.classes, **drawn))
    )
    confusion: Int[np.ndarray, "K K"] = field(
        metadata=_by(
            lambda judged, drawn: confusion_matrix(judged.labels, judged.predicted, classes=len(judged.classes))
        )
    )
    most_wrong: tuple[int, ...] = field(metadata=_by(lambda judged, _: _most_wrong(judged)))

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values, under the same names."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


FIGURE_TITLES = {each.name: each.metadata["title"] for each in fields(Quality) if each.metadata["title"]}
"""Headings of the table of figures, by name, in order; a figure with an `error` is shown with that."""


def judge(judged: JudgedImages, *, seed: int) -> Quality:
    """Measure everything that is said about one split.

    Args:
        judged: at least one image.
        seed: decides the bootstrap draws; the same seed gives the same intervals.
    """
    drawn = {"groups": judged.groups, "seed": derived_seed(seed, "judge", judged.measured_on)}
    return Quality(**{each.name: each.metadata["measured"](judged, drawn) for each in fields(Quality)})


def _auc(judged: JudgedImages, drawn: Drawn) -> Measure:
    if len(judged.classes) == 2:
        return roc_auc(judged.labels == 1, judged.probabilities[:, 1], **drawn)
    return macro_roc_auc(judged.labels, judged.probabilities, classes=judged.classes, **drawn)


def _selective(judged: JudgedImages, drawn: Drawn) -> Selective:
    confidence = judged.probabilities[np.arange(len(judged)), judged.predicted]
    return selective(judged.predicted == judged.labels, confidence, **drawn)


def _most_wrong(judged: JudgedImages) -> tuple[int, ...]:
    wrong = np.flatnonzero(judged.predicted != judged.labels)
    order = np.argsort(judged.probabilities[wrong, judged.labels[wrong]], kind="stable")
    return tuple(wrong[order].tolist())


def _plain(value: Any) -> Any:
    if hasattr(value, "as_json"):
        return _plain(value.as_json())
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
