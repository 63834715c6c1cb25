"""How answers are to be made of probabilities, chosen on validation answers; and what that gives."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.two_classes import Decided, decided_of, operating_point_of
from vitrail.measures.conformal_sets import conformal_quantile
from vitrail.measures.operating_point import (
    OperatingPoint,
    threshold_for_costs,
    threshold_for_sensitivity,
    threshold_for_specificity,
)
from vitrail.models.parts.decision import Decision
from vitrail.pages.numbers import split_name
from vitrail.pages.shown_as_text import ShownAsText

CHOSEN_ON = "val"


def _costs(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return tuple(float(each) for each in value.split(","))
    except ValueError:
        raise InputError(
            f"costs are {value!r}, two numbers were expected",
            hint="what a missed image and a false alarm cost, e.g. 10,1",
        ) from None


_Share = Annotated[float, Field(gt=0, lt=1)]
_Cost = Annotated[float, Field(gt=0)]


class DecisionSettings(Settings):
    """What a decision is to achieve: at least one of these; of the first four only costs and prevalence together."""

    sensitivity: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the images of the second class that must be found."""
    specificity: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the images of the first class that must not raise a false alarm."""
    costs: Annotated[tuple[_Cost, _Cost] | None, BeforeValidator(_costs)] = None
    """What a missed image of the second class costs, and a false alarm: `10,1`."""
    prevalence: _Share | None = None
    """Share of the second class where the model will be used; None: as among the validation images."""
    least_probability: _Share | None = None
    """Probability of the answered class below which the answer is "not sure"."""
    coverage: _Share | None = None
    """How often the set of classes said of an image must hold the true one."""


@dataclass(frozen=True)
class DecisionFigures:
    """What a decision gives on one split; `point` is None for more than two classes."""

    n: int
    point: OperatingPoint | None
    decided: Decided

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, repr=False)
class DecisionResult(ShownAsText):
    """What was decided, and the package that obeys it.

    Attributes:
        package: the new package.
        decision: its part.
        figures: what the decision gives, by split; on validation images it was chosen, and they flatter it.
    """

    package: Path
    decision: Decision
    figures: Mapping[str, DecisionFigures]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        numbers = ("threshold", "least_probability", "quantile", "level", "chosen")
        return {
            "package": str(self.package),
            "decision": {name: getattr(self.decision, name) for name in numbers},
            "figures": {split: each.as_json() for split, each in self.figures.items()},
        }

    def lines(self) -> list[str]:
        """What was decided, what it gives, and what to type next."""
        told = [f"decision   {sentence}" for sentence in self.decision.words()]
        for split, each in self.figures.items():
            flattered = "; chosen on them, so new images may fare worse" if split == CHOSEN_ON else ""
            told += ["", f"on {each.n:,} {split_name(split)} images{flattered}", *self._lines_of(each)]
        if CHOSEN_ON in self.figures and len(self.figures) == 1:
            told += ["", "no test images: vitrail evaluate judges the decision on images that had no part in it"]
        return [*told, "", f"package    {self.package}", f"next       vitrail evaluate {self.package} DATA"]

    def _lines_of(self, each: DecisionFigures) -> list[str]:
        second, found = self.decision.classes[-1], []
        if each.point is not None and self.decision.threshold is not None:
            found.append(f"  sensitivity for “{second}”  {each.point.sensitivity.text()}")
            found.append(f"  specificity for “{second}”  {each.point.specificity.text()}")
            found.append(f"  right when it says “{second}”  {each.point.precision.text()}")
        if self.decision.least_probability is not None:
            found.append(f"  answered  {each.decided.answered.text()}")
            found.append(f"  right when sure  {each.decided.accuracy.text()}")
        if each.decided.covered is not None and each.decided.size is not None:
            found.append(f"  true class in the set  {each.decided.covered.text()}")
            found.append(f"  classes in a set  {each.decided.size.text()}")
        return found


def chosen_decision(judged: JudgedImages, settings: DecisionSettings) -> Decision:
    """The decision that achieves what was asked for on these images, which had no part in training.

    Args:
        judged: validation images.
        settings: what is asked for.

    Raises:
        InputError: nothing is asked for, or two things that exclude each other; a threshold for more than two classes;
            one class alone; costs at which one class would never be answered.
    """
    goals = _goals(settings)
    threshold = _threshold(judged, settings) if set(goals) - {"least_probability", "coverage"} else None
    quantile = None
    if settings.coverage is not None:
        quantile = min(1.0, max(0.0, conformal_quantile(judged.labels, judged.probabilities, level=settings.coverage)))
    chosen = {"asked": goals, "split": judged.measured_on, "images": len(judged), "groups": judged.group_count}
    least = settings.least_probability
    return Decision(judged.classes, threshold, least, quantile, settings.coverage, chosen)


def figures_of_decision(judged: JudgedImages, decision: Decision) -> DecisionFigures:
    """What a decision gives on images."""
    obeying = replace(judged, decision=decision)
    decided = decided_of(obeying)
    assert decided is not None
    return DecisionFigures(len(judged), operating_point_of(obeying), decided)


def _goals(settings: DecisionSettings) -> dict[str, Any]:
    goals = {name: value for name, value in settings.model_dump(mode="json").items() if value is not None}
    if not goals:
        raise InputError(
            "nothing was asked for, so there is nothing to decide",
            hint="for instance --sensitivity 0.95, --costs 10,1, --least-probability 0.8 or --coverage 0.9",
        )
    of_threshold = [name for name in ("sensitivity", "specificity", "costs", "prevalence") if name in goals]
    if len(of_threshold) > 1 and of_threshold != ["costs", "prevalence"]:
        raise InputError(
            f"{' and '.join(of_threshold)} ask for different thresholds, one was expected",
            hint="only costs and prevalence go together",
        )
    return goals


def _threshold(judged: JudgedImages, settings: DecisionSettings) -> float:
    if len(judged.classes) != 2:
        raise InputError(
            f"a threshold is for two classes, this model knows {len(judged.classes)}",
            hint="--least-probability and --coverage are for any number of classes",
        )
    positive, scores = judged.labels == 1, judged.probabilities[:, 1].astype(np.float64)
    if settings.sensitivity is not None:
        threshold = threshold_for_sensitivity(positive, scores, settings.sensitivity)
    elif settings.specificity is not None:
        threshold = threshold_for_specificity(positive, scores, settings.specificity)
    else:
        missed, alarm = settings.costs or (1.0, 1.0)
        threshold = threshold_for_costs(
            positive, scores, missed=missed, false_alarm=alarm, prevalence=settings.prevalence
        )
    called = int((scores >= threshold).sum())
    if called in (0, len(scores)):
        never = judged.classes[0 if called else 1]
        raise InputError(
            f"“{never}” would never be answered on these {len(scores):,} images",
            hint="ask for less, or for costs that are nearer to each other",
        )
    return threshold
