"""The part `decision`: the threshold of two classes, when a model is not sure, and sets of classes.

It is not in a package that nobody decided about; such a package answers the most probable class.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.measures.conformal_sets import conformal_members
from vitrail.models.package_parts import PackagePart, PartContent

_ABOUT = (
    "how answers are made of probabilities: from the threshold on the second class is answered, an answer less "
    "probable than the least one is not sure, and the classes in the set of an image hold the true one as often as the "
    "level says"
)
NOT_SURE = "not sure"
"""What is said where no class is probable enough."""

_NUMBERS = ("threshold", "least_probability", "quantile", "level")


@dataclass(frozen=True)
class Decision(PackagePart):
    """How answers are made of probabilities; what is None is not decided.

    Attributes:
        classes: of the package, in the order of its logits.
        threshold: probability of the second of two classes from which on it is answered; None: the most probable class.
        least_probability: of the class that is answered, below which the answer is "not sure".
        quantile: 1 − probability up to which a class is in an image's set; 1 where all are.
        level: how often the set holds the true class, on images like those it was chosen on.
        chosen: what was asked for, and on how many images it was chosen: JSON values.
    """

    name = "decision"

    classes: tuple[str, ...]
    threshold: float | None = None
    least_probability: float | None = None
    quantile: float | None = None
    level: float | None = None
    chosen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            _number(name, getattr(self, name))
        if self.threshold is not None and len(self.classes) != 2:
            raise ValueError(f"a threshold is for two classes, there are {len(self.classes)}")
        if (self.quantile is None) != (self.level is None):
            raise ValueError("quantile and level go together")

    def predicted(self, probabilities: Float[np.ndarray, "N K"]) -> Int[np.ndarray, "N"]:
        """Number of the class that is answered."""
        if self.threshold is None:
            return probabilities.argmax(axis=1)
        return (probabilities[:, 1] >= self.threshold).astype(np.int64)

    @property
    def logit_offset(self) -> float:
        """What is added to the second class's logit, so that the largest is the answer; 0 without a threshold."""
        if self.threshold is None:
            return 0.0
        threshold = min(max(self.threshold, 1e-12), 1 - 1e-12)
        return math.log1p(-threshold) - math.log(threshold)

    def sure(self, probabilities: Float[np.ndarray, "N K"]) -> Bool[np.ndarray, "N"]:
        """Whether the answered class is probable enough to be answered."""
        said = probabilities[np.arange(len(probabilities)), self.predicted(probabilities)]
        return said >= (self.least_probability or 0.0)

    def members(self, probabilities: Float[np.ndarray, "N K"]) -> Bool[np.ndarray, "N K"]:
        """Which classes are in the set of each image; all where no level was decided on."""
        return conformal_members(probabilities, 1.0 if self.quantile is None else self.quantile)

    def words(self) -> list[str]:
        """What it does, a sentence each."""
        told = []
        if self.threshold is not None:
            told.append(f"“{self.classes[1]}” is answered from a probability of {self.threshold:.4g} on")
        if self.least_probability is not None:
            told.append(f"an answer below a probability of {self.least_probability:.4g} is “not sure”")
        if self.level is not None and self.quantile is not None:
            least = f"{1 - self.quantile:.4g} or more" if self.quantile < 1 else "any probability: too few images"
            told.append(f"sets that hold the true class in {100 * self.level:.6g}% of cases: classes of {least}")
        return told

    def content(self) -> PartContent:
        """What the package keeps."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return PartContent({"about": _ABOUT, "classes": list(self.classes), **numbers, "chosen": self.chosen})

    @classmethod
    def from_content(cls, content: PartContent, *, version: int) -> "Decision":
        """The part that `content` was written from.

        Raises:
            ValueError: it makes no sense; in words.
        """
        facts = content.facts
        classes, chosen = facts.get("classes"), facts.get("chosen", {})
        if not (isinstance(classes, list) and classes and all(isinstance(each, str) for each in classes)):
            raise ValueError("names of classes were expected")
        if not isinstance(chosen, dict):
            raise ValueError("what was chosen, by name, was expected")
        wide = {name: _number(name, facts.get(name)) for name in _NUMBERS}
        return cls(tuple(classes), **wide, chosen=chosen)


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {str(value)[:40]}, a number from 0 to 1 was expected")
    return float(value)
