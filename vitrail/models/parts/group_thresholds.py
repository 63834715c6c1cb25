"""The part `group_thresholds`: for two classes, from which probability on the second is answered, group by group.

The group of an image must be known whenever these are used; nothing in a package can find it out. They are obeyed where
somebody asks this part, not by `predict` or `serve`, which do not know groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vitrail.models.package_parts import PackagePart, PartContent

_ABOUT = (
    "for each group of the attribute the probability from which on the second class is answered, so that groups fare "
    "alike; images of other groups, or of none, are answered from the usual one on"
)
_MOST_GROUPS, _LONGEST = 100, 200


@dataclass(frozen=True)
class GroupThresholds(PackagePart):
    """Thresholds by group.

    Attributes:
        classes: both, in the order of the logits.
        attribute: whose groups these are.
        thresholds: by group.
        usual: for images of any other group.
        chosen: what was made alike, and on how many images: JSON values.
    """

    name = "group_thresholds"

    classes: tuple[str, ...]
    attribute: str
    thresholds: Mapping[str, float]
    usual: float = 0.5
    chosen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) != 2:
            raise ValueError(f"thresholds are for two classes, there are {len(self.classes)}")
        if not 0 < len(self.thresholds) <= _MOST_GROUPS:
            raise ValueError(f"{len(self.thresholds):,} groups, 1 to {_MOST_GROUPS} were expected")
        for each in (self.usual, *self.thresholds.values()):
            if type(each) not in (int, float) or not 0 <= each <= 1:
                raise ValueError(f"a threshold is {str(each)[:40]}, a number from 0 to 1 was expected")

    def predicted(self, probabilities: Float[np.ndarray, "N K"], groups: Sequence[str | None]) -> Int[np.ndarray, "N"]:
        """Number of the class that is answered.

        Args:
            probabilities: of both classes.
            groups: of each image, None where it is not known.
        """
        needed = np.array([self.thresholds.get(each or "", self.usual) for each in groups])
        return (probabilities[:, 1] >= needed).astype(np.int64)

    def content(self) -> PartContent:
        """What the package keeps."""
        return PartContent({
            "about": _ABOUT, "classes": list(self.classes), "attribute": self.attribute,
            "thresholds": dict(self.thresholds), "usual": self.usual, "chosen": self.chosen,
        })  # fmt: skip

    @classmethod
    def from_content(cls, content: PartContent, *, version: int) -> "GroupThresholds":
        """The part that `content` was written from.

        Raises:
            ValueError: it makes no sense; in words.
        """
        facts = content.facts
        classes, thresholds, attribute = (facts.get(name) for name in ("classes", "thresholds", "attribute"))
        if not (isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
            raise ValueError("names of classes were expected")
        if not (isinstance(attribute, str) and 0 < len(attribute) <= _LONGEST and isinstance(thresholds, dict)):
            raise ValueError("an attribute and thresholds by group were expected")
        chosen = facts.get("chosen", {})
        if not isinstance(chosen, dict):
            raise ValueError("what was chosen, by name, was expected")
        return cls(tuple(classes), attribute, thresholds, facts.get("usual", 0.5), chosen)
