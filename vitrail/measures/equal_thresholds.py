"""Which threshold for each group would make them alike, and what that would cost: for two classes.

Thresholds for each group were chosen on other images than those on which they are judged, so the figures are not
flattered. They need the attribute whenever the model is used.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.measures.intervals import Measure
from vitrail.measures.means import mean

Target = Literal["recognised", "said"]
"""What is made alike: how often images of the class are recognised (true positive rate), or how often it is said."""

FOLDS = 5


@dataclass(frozen=True)
class EqualThresholds:
    """What thresholds for each group would do.

    Attributes:
        thresholds: by group, the probability from which the class is said; chosen on all images.
        before: difference between the greatest and the least rate, with the model's own answers.
        after: the same with thresholds that were chosen on other images.
        accuracy_change: after minus before, on the same images.
        groups: names, in the order of the thresholds, where somebody gave them.
        said_after: by image, what is said with thresholds that were chosen on other images.
    """

    target: Target
    thresholds: tuple[float, ...]
    before: float
    after: float
    accuracy_change: Measure
    groups: tuple[str, ...] = ()
    said_after: Bool[np.ndarray, "N"] | None = field(default=None, compare=False, repr=False)

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values, but for single images."""
        return asdict(replace(self, said_after=None), dict_factory=_without_images)


def equal_thresholds(
    group: Int[np.ndarray, "N"],
    positive: Bool[np.ndarray, "N"],
    scores: Float[np.ndarray, "N"],
    said: Bool[np.ndarray, "N"],
    *,
    target: Target,
    patients: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> EqualThresholds | None:
    """Thresholds that bring every group's rate to that of all images together.

    Source: M. Hardt, E. Price and N. Srebro (2016), Equality of Opportunity in Supervised Learning, section 3, without
    drawing by lot.

    Args:
        group: of each image, from 0 on; only groups that are compared.
        positive: which images are of the class.
        scores: its probability.
        said: which images the model answers so.
        target: what is made alike.
        patients: of each image: a patient's images are in one fold.
        seed: of the folds.

    Returns:
        None where a group has no image that the rate is about in one of the folds' complements.
    """
    about = positive if target == "recognised" else np.ones(len(group), dtype=bool)
    units = np.arange(len(group)) if patients is None else patients
    lot = np.random.default_rng(seed).permutation(int(units.max()) + 1)
    fold = lot[units] % FOLDS
    groups = int(group.max()) + 1
    after = np.zeros(len(group), dtype=bool)
    for each in range(FOLDS):
        kept, judged = fold != each, fold == each
        chosen = _chosen(group[kept], about[kept], scores[kept], said[kept], groups)
        if chosen is None:
            return None
        after[judged] = scores[judged] >= chosen[group[judged]]
    final = _chosen(group, about, scores, said, groups)
    if final is None:
        return None
    gained = (after == positive).astype(np.float64) - (said == positive)
    change = mean(gained, name="accuracy change", groups=patients)
    return EqualThresholds(
        target, tuple(final.tolist()), _apart(group, about, said), _apart(group, about, after), change, said_after=after
    )


def _without_images(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if name != "said_after"}


def _chosen(
    group: np.ndarray, about: np.ndarray, scores: np.ndarray, said: np.ndarray, groups: int
) -> Float[np.ndarray, " g"] | None:
    """By group the score above which as large a share of its images lie as are said among all."""
    if (np.bincount(group[about], minlength=groups) == 0).any():
        return None
    share = float(said[about].mean())
    found = []
    for g in range(groups):
        own = np.sort(scores[about & (group == g)])[::-1]
        count = round(share * len(own))
        above = own[count - 1] if count else 1.0
        below = own[count] if count < len(own) else 0.0
        found.append((above + below) / 2 if count else (1.0 + below) / 2)
    return np.array(found)


def _apart(group: np.ndarray, about: np.ndarray, said: np.ndarray) -> float:
    rates = np.bincount(group[about], weights=said[about]) / np.bincount(group[about])
    return float(rates.max() - rates.min())
