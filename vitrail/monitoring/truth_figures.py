"""How often answers were right where the truth came back, and whether groups fare alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from vitrail.basics.settings import Settings
from vitrail.measures.fairness import fairness_verdict
from vitrail.measures.fairness_gaps import Spread, spread_of
from vitrail.measures.fairness_rates import FAIR_BELOW, LEAST_GROUP, Verdict
from vitrail.measures.intervals import Measure, wilson
from vitrail.measures.multiple_tests import holm
from vitrail.monitoring.tally import OTHERS

Attributes = tuple[tuple[str, str], ...]
"""Names and values, in order."""


class JudgedAnswer(NamedTuple):
    """An answer whose truth is known.

    Attributes:
        at: when the truth came, in seconds since 1970.
        arm: who answered.
        answer: name of the class.
        truth: likewise.
        attributes: that the request carried.
    """

    at: float
    arm: str
    answer: str
    truth: str
    attributes: Attributes


class TruthSettings(Settings):
    """How groups are compared: as `vitrail evaluate` does."""

    least_group: Annotated[int, Field(ge=1, le=1_000_000)] = LEAST_GROUP
    """Answers with a truth that a group needs to be compared."""
    fair_below: Annotated[float, Field(gt=0, lt=1)] = FAIR_BELOW
    """A difference in accuracy between groups from here on is unfair: 0.1 is ten points of a hundred."""


@dataclass(frozen=True)
class GroupedAccuracy:
    """How the groups of an attribute fare.

    Attributes:
        by_group: accuracy with Wilson's interval, by value of the attribute.
        gap: the greatest accuracy minus the least among the groups that are compared, with Newcombe's interval.
        highest: a group; None where there are not two to compare.
        lowest: likewise.
        left_out: why a group is not compared.
        verdict: `unfair`, `fair` or `not enough evidence`, accounting for all attributes of the window.
    """

    by_group: Mapping[str, Measure]
    gap: Measure
    highest: str | None
    lowest: str | None
    left_out: Mapping[str, str]
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "groups": {name: _json_of(measure) for name, measure in self.by_group.items()},
            "gap": _json_of(self.gap),
            "highest": self.highest,
            "lowest": self.lowest,
            "left_out": dict(self.left_out),
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class TruthFigures:
    """What is known of answers whose truth came within a window.

    Attributes:
        seconds: length of the window.
        accuracy: how often answers were right, with Wilson's interval.
        attributes: by name.
    """

    seconds: float | int
    accuracy: Measure
    attributes: Mapping[str, GroupedAccuracy]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "window_seconds": self.seconds,
            "accuracy": _json_of(self.accuracy),
            "attributes": {name: grouped.as_json() for name, grouped in self.attributes.items()},
        }


def _json_of(measure: Measure) -> dict[str, Any]:
    interval = None if measure.low is None or measure.high is None else [measure.low, measure.high]
    return {
        "value": measure.value, "n": measure.n, "interval": interval, "undefined_because": measure.undefined_because
    }  # fmt: skip


def truth_figures(
    counted: Mapping[tuple[Attributes, bool], int], settings: TruthSettings, *, seconds: float | int
) -> TruthFigures:
    """Accuracy of all, and of every group. Answers count as independent, also several of one patient.

    Args:
        counted: how many answers there are with these attributes that are right, or wrong.
        settings: from where on groups are compared, and called unfair.
        seconds: length of the window that they are of.
    """
    right, n = sum(times for (_, hit), times in counted.items() if hit), sum(counted.values())
    counts: dict[str, dict[str, list[int]]] = {}
    for (attributes, hit), times in counted.items():
        for name, value in attributes:
            group = counts.setdefault(name, {}).setdefault(value, [0, 0])
            group[0] += times * hit
            group[1] += times
    compared = {name: _compared(groups, settings) for name, groups in sorted(counts.items())}
    adjusted = holm([spread.p_value for _, spread in compared.values()])
    grouped_by = {
        name: replace(grouped, verdict=fairness_verdict(grouped.gap, p_value, settings.fair_below))
        for (name, (grouped, _)), p_value in zip(compared.items(), adjusted, strict=True)
    }
    return TruthFigures(seconds, wilson(right, n, name="accuracy"), grouped_by)


def _compared(counts: Mapping[str, Sequence[int]], settings: TruthSettings) -> tuple[GroupedAccuracy, Spread]:
    left_out = {
        name: f"only {n:,} answers with a truth, at least {settings.least_group:,} needed"
        for name, (_, n) in counts.items() if n < settings.least_group
    }  # fmt: skip
    if OTHERS in counts:
        left_out[OTHERS] = "these are several groups"
    names = [name for name in sorted(counts) if name not in left_out]
    hits, trials = (np.array([counts[name][place] for name in names], dtype=np.int64) for place in (0, 1))
    spread = spread_of(hits, trials, trials.astype(np.float64), name="accuracy", margin=settings.fair_below)
    return GroupedAccuracy(
        by_group={name: wilson(counts[name][0], counts[name][1], name="accuracy") for name in sorted(counts)},
        gap=spread.difference,
        highest=None if spread.highest is None else names[spread.highest],
        lowest=None if spread.lowest is None else names[spread.lowest],
        left_out=left_out,
        verdict="not enough evidence",
    ), spread
