"""Where a model of two classes tells the second from the first, and what other thresholds would give."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vitrail.evaluation.judged_images import JudgedImages
from vitrail.measures.intervals import Measure
from vitrail.measures.means import mean, share
from vitrail.measures.operating_point import (
    OperatingPoint,
    RocPoint,
    operating_point,
    roc_curve,
    threshold_for_costs,
    threshold_for_sensitivity,
    threshold_for_specificity,
)

HALF = 0.5


@dataclass(frozen=True)
class OtherThreshold:
    """What a threshold chosen on these very images gives on them, which flatters a little."""

    goal: str
    point: OperatingPoint

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def roc_of(judged: JudgedImages) -> tuple[RocPoint, ...]:
    """The ROC curve of the second class; nothing for more than two classes, or where one has no image."""
    return roc_curve(*_second(judged)) if len(judged.classes) == 2 else ()


def operating_point_of(judged: JudgedImages) -> OperatingPoint | None:
    """Sensitivity and specificity for the second class as the model answers; None for more than two classes."""
    if len(judged.classes) != 2:
        return None
    decided = None if judged.decision is None else judged.decision.threshold
    threshold = HALF if decided is None else decided
    return operating_point(judged.labels == 1, judged.predicted == 1, threshold=threshold, groups=judged.groups)


@dataclass(frozen=True)
class Decided:
    """What the package's decision gives on these images.

    `words` say what was decided. `answered` is the share of images on which the model is sure enough, `accuracy` how
    often it is right on these; `covered` the share of images whose set holds the true class, None where no sets were
    decided on, and `size` the mean number of classes in a set.
    """

    words: tuple[str, ...]
    answered: Measure
    accuracy: Measure
    covered: Measure | None
    size: Measure | None

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def decided_of(judged: JudgedImages) -> Decided | None:
    """What the package's decision gives; None where the package has none."""
    decision, groups = judged.decision, judged.groups
    if decision is None:
        return None
    sure, right = decision.sure(judged.probabilities), judged.predicted == judged.labels
    within = None if groups is None or not sure.any() else np.unique(groups[sure], return_inverse=True)[1]
    covered = size = None
    if decision.level is not None:
        members = decision.members(judged.probabilities)
        held = members[np.arange(len(judged)), judged.labels]
        covered = share(held, name="coverage", groups=groups)
        size = mean(members.sum(axis=1).astype(np.float64), name="classes in a set", groups=groups)
    return Decided(
        tuple(decision.words()),
        share(sure, name="answered", groups=groups),
        share(right[sure], name="accuracy when sure", groups=within),
        covered,
        size,
    )


def other_thresholds(judged: JudgedImages) -> tuple[OtherThreshold, ...]:
    """What else could be chosen (`vitrail decide`); nothing for more than two classes, or where one has no image."""
    if len(judged.classes) != 2 or len(np.unique(judged.labels)) != 2:
        return ()
    positive, scores = _second(judged)
    chosen = {
        "finds at least 95 % of them": threshold_for_sensitivity(positive, scores, 0.95),
        "at most 5 % false alarms": threshold_for_specificity(positive, scores, 0.95),
        "a missed one costs ten times a false alarm": threshold_for_costs(positive, scores, missed=10),
        "1 in 100 images shows it, both mistakes cost the same": threshold_for_costs(positive, scores, prevalence=0.01),
    }
    return tuple(
        OtherThreshold(goal, operating_point(positive, scores >= each, threshold=each, groups=judged.groups))
        for goal, each in chosen.items()
    )


def _second(judged: JudgedImages) -> tuple[np.ndarray, np.ndarray]:
    return judged.labels == 1, judged.probabilities[:, 1]
