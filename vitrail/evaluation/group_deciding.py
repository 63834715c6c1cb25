"""A threshold for each group, so that groups fare alike; and what that gives, before and after."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.evaluation.attribute_groups import AttributeGroups, attribute_groups
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.measures.equal_thresholds import EqualThresholds, Target, equal_thresholds
from vitrail.measures.fairness_gaps import spread_of
from vitrail.measures.fairness_rates import FAIR_BELOW, LEAST_GROUP
from vitrail.measures.intervals import Measure, wilson
from vitrail.models.parts.group_thresholds import GroupThresholds
from vitrail.pages.shown_as_text import ShownAsText


class GroupDecisionSettings(Settings):
    """What is to be alike in all groups."""

    by_group: str
    """The attribute."""
    equal_rate: Target = "recognised"
    """`recognised`: how often images of the second class are found; `said`: how often it is answered."""
    least_group: Annotated[int, Field(ge=1, le=1_000_000)] = LEAST_GROUP
    """Images that the rate is about and that a group needs for a threshold of its own."""
    seed: int = Field(default=0, ge=0)
    """Of the folds in which the figures are made."""


@dataclass(frozen=True)
class BeforeAndAfter:
    """A figure with the model's own answers, and with thresholds by group that were chosen on other images."""

    before: Measure
    after: Measure

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"before": self.before.as_json(), "after": self.after.as_json()}


@dataclass(frozen=True, repr=False)
class GroupDecisionResult(ShownAsText):
    """What was decided, and what it gives.

    Attributes:
        package: the new package.
        thresholds: its part.
        figures: `gap`, between the groups with the highest and the lowest rate, and `accuracy`.
        left_out: groups that keep the usual threshold, and why.
    """

    package: Path
    thresholds: GroupThresholds
    figures: Mapping[str, BeforeAndAfter]
    left_out: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        part = self.thresholds
        return {
            "package": str(self.package), "attribute": part.attribute, "thresholds": dict(part.thresholds),
            "usual": part.usual, "chosen": part.chosen, "left_out": dict(self.left_out),
            "figures": {name: each.as_json() for name, each in self.figures.items()},
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Thresholds, figures, and what must be known to use them."""
        part = self.thresholds
        told = [
            f"decision   of {part.attribute} {group}, “{part.classes[1]}” is answered from {threshold:.4g} on"
            for group, threshold in part.thresholds.items()
        ]
        told += [f"left out   {group}: {why}" for group, why in self.left_out.items()]
        told += ["", f"on {part.chosen['images']:,} images, each judged by thresholds that others chose"]
        for name, each in self.figures.items():
            told.append(f"  {name:<10} before {each.before.text()}   after {each.after.text()}")
        return [
            *told, "", f"package    {self.package}",
            f"note       {part.attribute} must be known whenever these are used: predict and serve do not know it, and "
            "answer as before; `package.part('group_thresholds').predicted` obeys",
        ]  # fmt: skip


def chosen_group_thresholds(
    judged: JudgedImages, settings: GroupDecisionSettings
) -> tuple[GroupThresholds, dict[str, BeforeAndAfter], dict[str, str]]:
    """Thresholds that bring every group's rate to that of all, on images that had no part in training.

    Returns:
        The part, figures before and after, and which groups were left out, and why.

    Raises:
        InputError: there are not two classes, or not two groups that are large enough.
    """
    if len(judged.classes) != 2:
        raise InputError(
            f"thresholds by group are for two classes, this model knows {len(judged.classes)}",
            hint="fit anew with reweight_by, which is for any number of classes",
        )
    groups = attribute_groups(judged, settings.by_group, least_group=settings.least_group)
    positive = judged.labels == 1
    about = positive if settings.equal_rate == "recognised" else np.ones(len(judged), dtype=bool)
    counts = np.bincount(groups.numbers[about], minlength=len(groups.names))
    kept = [g for g in range(len(groups.names)) if counts[g] >= settings.least_group and groups.compared[g]]
    left_out = {
        name: f"only {counts[g]:,} such images, at least {settings.least_group:,} needed"
        for g, name in enumerate(groups.names) if g not in kept
    }  # fmt: skip
    alike = _alike(judged, groups, kept, settings) if len(kept) > 1 else None
    if alike is None:
        raise InputError(
            f"{settings.by_group}: there are not two groups with {settings.least_group:,} images that the rate is "
            "about",
            hint="add images, or lower least_group",
        )
    names = tuple(groups.names[g] for g in kept)
    chosen = {"rate": settings.equal_rate, "images": int(np.isin(groups.numbers, kept).sum())}
    usual = 0.5 if judged.decision is None or judged.decision.threshold is None else judged.decision.threshold
    part = GroupThresholds(
        judged.classes, settings.by_group, dict(zip(names, alike.thresholds, strict=True)), usual, chosen
    )
    return part, _figures(judged, groups.numbers, kept, alike, about), left_out


def _alike(
    judged: JudgedImages, groups: AttributeGroups, kept: list[int], settings: GroupDecisionSettings
) -> EqualThresholds | None:
    inside = np.isin(groups.numbers, kept)
    place = np.searchsorted(kept, groups.numbers[inside])
    patients = None if judged.groups is None else np.unique(judged.groups[inside], return_inverse=True)[1]
    found = equal_thresholds(
        place, judged.labels[inside] == 1, judged.probabilities[inside, 1].astype(np.float64),
        judged.predicted[inside] == 1, target=settings.equal_rate, patients=patients, seed=settings.seed,
    )  # fmt: skip
    return None if found is None else replace(found, groups=tuple(groups.names[g] for g in kept))


def _figures(
    judged: JudgedImages, numbers: Int[np.ndarray, "N"], kept: list[int], alike: EqualThresholds,
    about: Bool[np.ndarray, "N"],
) -> dict[str, BeforeAndAfter]:  # fmt: skip
    inside = np.isin(numbers, kept)
    place, positive, asked = np.searchsorted(kept, numbers[inside]), judged.labels[inside] == 1, about[inside]
    assert alike.said_after is not None
    gaps, right = [], []
    for said in (judged.predicted[inside] == 1, alike.said_after):
        trials = np.bincount(place[asked], minlength=len(kept))
        hits = np.bincount(place[asked & said], minlength=len(kept))
        spread = spread_of(hits, trials, trials.astype(np.float64), name="rate", margin=FAIR_BELOW)
        gaps.append(spread.difference)
        right.append(wilson(int((said == positive).sum()), len(said), name="accuracy"))
    return {"gap": BeforeAndAfter(*gaps), "accuracy": BeforeAndAfter(*right)}
