"""Where a model of two classes tells the second from the first, and what other thresholds would give."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vitrail.evaluation.judged_images import JudgedImages
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
    return operating_point(*_second(judged), threshold=HALF, groups=judged.groups)


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
        OtherThreshold(goal, operating_point(positive, scores, threshold=each, groups=judged.groups))
        for goal, each in chosen.items()
    )


def _second(judged: JudgedImages) -> tuple[np.ndarray, np.ndarray]:
    return judged.labels == 1, judged.probabilities[:, 1]
