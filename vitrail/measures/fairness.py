"""Whether groups are treated alike: demographic parity, equalised odds, equal opportunity, accuracy by group.

One group's rate is said with its Wilson interval; the difference between groups with an interval of its own, with what
chance alone would make of it, and with a verdict that may be "not enough evidence". Undefined is never zero: a group
without images of a class has no true positive rate, and is named instead of compared. (In fairlearn, which has the same
figures for every class against the rest otherwise, such a rate is 0 and the difference a false alarm.)

Where images come in patients, a share is worth as many trials as its spread over patients says, and whole patients are
dealt out by lot. A patient with images in several groups (of sites of the body, say) counts once in each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from vitrail.measures.fairness_counts import Units, contingency_table, shares_of
from vitrail.measures.fairness_rates import (
    Compared,
    GroupedRate,
    Verdict,
    rates_of_counts,
    rates_of_patients,
    true_shares,
)
from vitrail.measures.intervals import Measure
from vitrail.measures.multiple_tests import holm


@dataclass(frozen=True)
class ClassFairness:
    """How one class, against the rest, is answered in every group.

    Attributes:
        positive_rate: how often the class is answered; its difference is the demographic parity difference.
        tpr: how often its images are recognised; its difference is that of equal opportunity.
        fpr: how often others are taken for it.
    """

    name: str
    positive_rate: GroupedRate
    tpr: GroupedRate
    fpr: GroupedRate

    @property
    def equalized_odds_verdict(self) -> Verdict:
        """`unfair` where one of both rates is, `fair` where both are."""
        verdicts = {self.tpr.verdict, self.fpr.verdict}
        return "unfair" if "unfair" in verdicts else "fair" if verdicts == {"fair"} else "not enough evidence"

    @property
    def equalized_odds_difference(self) -> Measure:
        """The greater of the differences in true and false positive rate."""
        name, tpr, fpr = "equalized odds difference", self.tpr.difference, self.fpr.difference
        undefined = _undefined_odds(name, tpr, fpr)
        if undefined is not None:
            return undefined
        both = (tpr, fpr)
        value, low, high = (max(getattr(each, what) for each in both) for what in ("value", "low", "high"))
        return Measure(name, value, tpr.n + fpr.n, low, high, tpr.level, "of both rates")

    @property
    def equalized_odds_mean_difference(self) -> Measure:
        """The mean of both differences.

        Source: for the interval G. Y. Zou and A. Donner (2008), Statistics in Medicine 27, p. 1693 (MOVER): images of
        the class and other images are independent.
        """
        name, tpr, fpr = "equalized odds mean difference", self.tpr.difference, self.fpr.difference
        undefined = _undefined_odds(name, tpr, fpr)
        if undefined is not None:
            return undefined
        t, f = (np.array([each.low, each.value, each.high], dtype=np.float64) for each in (tpr, fpr))
        mean = float(t[1] + f[1]) / 2
        low, high = (float(np.hypot(t[1] - t[end], f[1] - f[end])) / 2 for end in (0, 2))
        return Measure(
            name, mean, tpr.n + fpr.n, max(0.0, mean - low), min(1.0, mean + high), tpr.level, "joined over both rates"
        )


def _undefined_odds(name: str, tpr: Measure, fpr: Measure) -> Measure | None:
    for what, each in (("true positive rate", tpr), ("false positive rate", fpr)):
        if each.value is None:
            return Measure(name, None, tpr.n + fpr.n, undefined_because=f"{what}: {each.undefined_because}")
    return None


@dataclass(frozen=True)
class Fairness:
    """How the groups of one attribute fare.

    Attributes:
        groups: names, in order.
        images: by group.
        patients: by group; None where images are independent.
        true_shares: by class, then group: how many of its images truly are of the class.
        accuracy: how often answers are right.
        classes: each against the rest; of two classes the positive one alone, since the other says the same.
        method: how intervals and chance were computed, in words.
    """

    groups: tuple[str, ...]
    images: tuple[int, ...]
    patients: tuple[int, ...] | None
    true_shares: Mapping[str, Mapping[str, Measure]]
    accuracy: GroupedRate
    classes: tuple[ClassFairness, ...]
    method: str


def fairness_of(
    group: Int[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    predicted: Int[np.ndarray, "N"],
    compared: Compared,
    *,
    patients: Int[np.ndarray, "N"] | None = None,
) -> Fairness:
    """How the groups of one attribute fare. Verdicts account for all tests of this attribute; see `decided_together`.

    Args:
        group: number of the group of each image, an index into the names; every image has one.
        labels: number of the true class.
        predicted: number of the class that was answered.
        compared: what is compared, and how.
        patients: number of the patient of each image; None: images are independent.
    """
    table = contingency_table(group, labels, predicted, groups=len(compared.names), classes=len(compared.classes))
    shares = shares_of(table, compared.of_classes)
    if patients is None:
        rates = rates_of_counts(table, shares, compared)
        method = "images are independent: Wilson's intervals; chance: the attribute dealt out among images"
        counted = None
    else:
        units = Units.of(group, patients, labels, classes=len(compared.classes))
        rates = rates_of_patients(units, shares, labels, predicted, compared)
        method = "images of a patient resemble each other: intervals from how patients differ, whole patients dealt out"
        counted = tuple(np.bincount(units.group, minlength=len(compared.names)).tolist())
    by_class = tuple(
        ClassFairness(compared.classes[k], *rates[1 + 3 * place : 4 + 3 * place])
        for place, k in enumerate(compared.of_classes)
    )
    images = tuple(table.sum((1, 2)).tolist())
    found = Fairness(tuple(compared.names), images, counted, true_shares(table, compared), rates[0], by_class, method)
    return decided_together([found], fair_below=compared.fair_below)[0]


def decided_together(several: Sequence[Fairness], *, fair_below: float) -> list[Fairness]:
    """The same with p-values and verdicts that account for all tests of all of them.

    A verdict `unfair` is wrong in at most 5 of 100 such families in which every true difference is within the margin.

    Source: `multiple_tests.holm`; `fair` needs no correction: R. L. Berger (1982), Technometrics 24, p. 295.
    """
    rates = [rate for each in several for rate in _all_rates(each)]
    chance = iter(holm([1.0 if rate.chance is None else rate.chance.p_value for rate in rates]))
    margin = iter(holm([rate.margin_p_value for rate in rates]))

    def decided(rate: GroupedRate) -> GroupedRate:
        adjusted = next(margin)
        return replace(rate, p_value=next(chance), verdict=fairness_verdict(rate.difference, adjusted, fair_below))

    return [
        replace(
            each,
            accuracy=decided(each.accuracy),
            classes=tuple(
                replace(one, positive_rate=decided(one.positive_rate), tpr=decided(one.tpr), fpr=decided(one.fpr))
                for one in each.classes
            ),
        )
        for each in several
    ]


def _all_rates(fairness: Fairness) -> list[GroupedRate]:
    return [fairness.accuracy, *(rate for one in fairness.classes for rate in (one.positive_rate, one.tpr, one.fpr))]


def fairness_verdict(difference: Measure, margin_p_value: float, fair_below: float) -> Verdict:
    """What is said of a difference between groups.

    Args:
        difference: with its interval.
        margin_p_value: of the hypothesis that it is within the margin, accounting for all tests.
        fair_below: the margin.
    """
    if difference.value is None or difference.high is None:
        return "not enough evidence"
    if margin_p_value < 0.05:
        return "unfair"
    return "fair" if difference.high < fair_below else "not enough evidence"
