"""One rate in all groups at a time: its value in each, how far apart they lie, what chance would make of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.basics.seeds import derived_seed
from vitrail.measures.fairness_counts import Shares, Units
from vitrail.measures.fairness_gaps import spread_of
from vitrail.measures.fairness_null import (
    MOST,
    Chance,
    affordable_draws,
    dealt_groups,
    dealt_spreads,
    spreads_of_patients,
)
from vitrail.measures.intervals import Measure, wilson, wilson_limits

FAIR_BELOW = 0.1
"""A difference from here on is unfair, as the article's FairnessEvaluator has it."""

LEAST_GROUP = 20
"""Images (or patients) that a group needs before it is compared with others."""

MOST_DEALT = 600_000
"""Patients times rates up to which whole patients are dealt out."""

Verdict = Literal["fair", "unfair", "not enough evidence"]

_NAMES = {
    "accuracy": "accuracy", "positive_rate": "positive rate", "tpr": "true positive rate", "fpr": "false positive rate",
}  # fmt: skip


@dataclass(frozen=True)
class GroupedRate:
    """One rate in all groups, and how far apart they lie.

    Attributes:
        by_group: the rate of every group, by its name.
        difference: greatest minus least among the groups that are compared.
        ratio: least divided by greatest.
        highest: name of a group; None where there are not two to compare.
        lowest: likewise.
        left_out: by name of a group, why it is not compared.
        chance: what the difference would be if groups were dealt out by lot; None where there is none.
        p_value: of that test, accounting for all tests that were decided together.
        margin_p_value: of the hypothesis that the true difference is within what is fair; of this test alone.
        verdict: `unfair` where that is rejected, accounting for all tests; `fair` where the difference's upper limit is
            below the margin.
    """

    by_group: Mapping[str, Measure]
    difference: Measure
    ratio: Measure
    highest: str | None
    lowest: str | None
    left_out: Mapping[str, str]
    chance: Chance | None
    p_value: float
    margin_p_value: float
    verdict: Verdict

    @property
    def is_fair(self) -> bool | None:
        """None: not enough evidence."""
        return {"fair": True, "unfair": False}.get(self.verdict)


@dataclass(frozen=True)
class Compared:
    """What is compared, and how.

    Attributes:
        names: of the groups.
        judged: whether each group is compared, if it is large enough.
        classes: names of all K classes.
        positive: of two classes the one that rates are about.
        least_group: images (patients, where images come in such) that a group needs to be compared.
        fair_below: the margin.
        seed: of the draws.
        most_draws: of a test of chance.
    """

    names: Sequence[str]
    judged: Bool[np.ndarray, "G"]
    classes: Sequence[str]
    positive: int = 1
    least_group: int = LEAST_GROUP
    fair_below: float = FAIR_BELOW
    seed: int = 0
    most_draws: int = MOST

    @property
    def of_classes(self) -> list[int]:
        """The classes that rates are about."""
        return [self.positive] if len(self.classes) == 2 else list(range(len(self.classes)))


Dealt = Callable[[Shares, np.ndarray], np.ndarray]
"""Differences [R] between the judged groups (a mask [G]), had they been dealt out by lot."""


def rates_of_counts(table: Int[np.ndarray, "G K K"], shares: Sequence[Shares], compared: Compared) -> list[GroupedRate]:
    """Every rate, of independent images."""
    cells = sum(len(_strata(table, each, np.ones(len(table), dtype=bool))) for each in shares)
    draws = affordable_draws(cells * len(table), most=compared.most_draws)

    def dealt(each: Shares, judged: Bool[np.ndarray, "G"]) -> Float[np.ndarray, "R"]:
        seed = derived_seed(compared.seed, "fairness", each.kind, each.of_class)
        return dealt_spreads(_strata(table, each, judged), each.trials[judged], draws=draws, seed=seed)

    return [_grouped_rate(each, compared, dealt) for each in shares]


def rates_of_patients(
    units: Units,
    shares: Sequence[Shares],
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    compared: Compared,
) -> list[GroupedRate]:
    """Every rate, of images that come in patients.

    Where dealing out whole patients would take too long, what images are worth is dealt out instead (Rao and Scott).
    """
    counted = ((each, *units.sums(each, labels, predicted)) for each in shares)
    work = len(units.group) * len(shares)
    if work > MOST_DEALT:
        return [_grouped_rate(units.worth(each, *sums), compared, _scaled(compared)) for each, *sums in counted]
    draws = affordable_draws(work, most=compared.most_draws)
    seed = derived_seed(compared.seed, "fairness of patients")
    freely = dealt_groups(units.group, None, draws=draws, seed=seed)
    within_classes = dealt_groups(units.group, units.main_class, draws=draws, seed=seed)
    rates = []
    for each, hits, trials in counted:
        dealings = within_classes if each.kind in ("tpr", "fpr") else freely
        rates.append(_grouped_rate(units.worth(each, hits, trials), compared, _of_patients(dealings, hits, trials)))
    return rates


def _of_patients(dealings: np.ndarray, hits: np.ndarray, trials: np.ndarray) -> Dealt:
    return lambda _, judged: spreads_of_patients(dealings, hits, trials, judged)


def _scaled(compared: Compared) -> Dealt:
    """Images are dealt out, each group as many as its own are worth."""

    def dealt(each: Shares, judged: np.ndarray) -> np.ndarray:
        worth = np.maximum(each.effective[judged].round().astype(np.int64), 1)
        total = round(float((worth * each.hits[judged] / each.trials[judged]).sum()))
        seed = derived_seed(compared.seed, "fairness", each.kind, each.of_class)
        return dealt_spreads(
            [(worth, total)], worth, draws=affordable_draws(len(worth), most=compared.most_draws), seed=seed
        )

    return dealt


def _strata(
    table: Int[np.ndarray, "G K K"], shares: Shares, judged: Bool[np.ndarray, "G"]
) -> list[tuple[np.ndarray, int]]:
    """Within what the attribute is dealt out: all images, or those of a true class; sizes by group, and all hits."""
    own, k = table[judged], shares.of_class
    if shares.kind in ("accuracy", "positive_rate"):
        return [(own.sum((1, 2)), int(shares.hits[judged].sum()))]
    true = [k] if shares.kind == "tpr" else [t for t in range(table.shape[1]) if t != k]
    return [(own[:, t].sum(1), int(own[:, t, k].sum())) for t in true if own[:, t, k].any()]


def _grouped_rate(shares: Shares, compared: Compared, dealt: Dealt) -> GroupedRate:
    name = _NAMES[shares.kind]
    left_out = {
        compared.names[g]: why for g in range(len(compared.names)) if (why := _not_compared(shares, compared, g))
    }
    judged = np.array([each not in left_out for each in compared.names], dtype=bool)
    spread = spread_of(
        shares.hits[judged], shares.trials[judged], shares.effective[judged], name=name, margin=compared.fair_below
    )
    names = [each for each in compared.names if each not in left_out]
    value = spread.difference.value
    chance = None if value is None else Chance.of(value, dealt(shares, judged))
    return GroupedRate(
        by_group={each: _rate(shares, compared, g) for g, each in enumerate(compared.names)},
        difference=spread.difference,
        ratio=spread.ratio,
        highest=None if spread.highest is None else names[spread.highest],
        lowest=None if spread.lowest is None else names[spread.lowest],
        left_out=left_out,
        chance=chance,
        p_value=1.0 if chance is None else chance.p_value,
        margin_p_value=spread.p_value,
        verdict="not enough evidence",
    )


def _not_compared(shares: Shares, compared: Compared, g: int) -> str | None:
    size, of = int(shares.size[g]), _of_class(shares, compared)
    if not shares.trials[g]:
        return f"no images{of}"
    if size < compared.least_group:
        many = "" if size == 1 else "s"
        counted = f"image{many}{of}" if shares.size is shares.trials else f"patient{many} with images{of}"
        return f"only {size:,} {counted}, at least {compared.least_group} needed"
    return None if compared.judged[g] else "these images have no value, and they are few"


def _of_class(shares: Shares, compared: Compared) -> str:
    """Which images the rate is a share of; empty: all."""
    if shares.of_class is None or shares.kind == "positive_rate":
        return ""
    return f" of {'' if shares.kind == 'tpr' else 'classes other than '}{compared.classes[shares.of_class]!r}"


def _rate(shares: Shares, compared: Compared, g: int) -> Measure:
    name, hits, trials = _NAMES[shares.kind], int(shares.hits[g]), int(shares.trials[g])
    if not trials:
        return Measure(name, None, 0, undefined_because=f"no images{_of_class(shares, compared)}")
    if shares.size is shares.trials:
        return wilson(hits, trials, name=name)
    low, high = wilson_limits(hits / trials, float(shares.effective[g]))
    return Measure(name, hits / trials, trials, low, high, method=f"Wilson, from {int(shares.size[g]):,} patients")


def true_shares(table: Int[np.ndarray, "G K K"], compared: Compared) -> dict[str, dict[str, Measure]]:
    """By class and group: how many of the group's images truly are of the class."""
    return {
        compared.classes[k]: {
            name: wilson(int(table[g, k].sum()), int(table[g].sum()), name="share of the class")
            for g, name in enumerate(compared.names)
        }
        for k in compared.of_classes
    }
