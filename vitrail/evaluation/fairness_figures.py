"""Fairness as plain values: the articles' names, and beside each what makes it believable."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitrail.evaluation.attribute_groups import AttributeGroups
from vitrail.measures.equal_thresholds import EqualThresholds
from vitrail.measures.fairness import ClassFairness, Fairness
from vitrail.measures.fairness_rates import GroupedRate
from vitrail.measures.intervals import Measure


def attribute_figures(
    fairness: Fairness, told: Sequence[str], alike: Sequence[EqualThresholds], groups: AttributeGroups
) -> dict[str, Any]:
    """Everything about one attribute."""
    return {
        "images": dict(zip(fairness.groups, fairness.images, strict=True)),
        "patients": None if fairness.patients is None else dict(zip(fairness.groups, fairness.patients, strict=True)),
        "told": list(told),
        "accuracy": {"by_group": _by_group(fairness.accuracy.by_group), **_comparison(fairness.accuracy)},
        "classes": {one.name: _class_figures(one, fairness.true_shares[one.name]) for one in fairness.classes},
        "equal_thresholds": [each.as_json() for each in alike],
        "method": fairness.method,
    }


def _class_figures(one: ClassFairness, true_share: Mapping[str, Measure]) -> dict[str, Any]:
    return {
        "true_share": _by_group(true_share),
        "group_positive_rates": _by_group(one.positive_rate.by_group),
        "demographic_parity_difference": one.positive_rate.difference.as_json(),
        "demographic_parity_ratio": one.positive_rate.ratio.as_json(),
        "is_fair": one.positive_rate.is_fair,
        "tpr": _by_group(one.tpr.by_group),
        "fpr": _by_group(one.fpr.by_group),
        "equal_opportunity_difference": one.tpr.difference.as_json(),
        "equalized_odds_difference": one.equalized_odds_difference.as_json(),
        "equalized_odds_mean_difference": one.equalized_odds_mean_difference.as_json(),
        "equalized_odds_verdict": one.equalized_odds_verdict,
        "compared": {
            "positive_rate": _comparison(one.positive_rate),
            "tpr": _comparison(one.tpr),
            "fpr": _comparison(one.fpr),
        },
    }


def _comparison(rate: GroupedRate) -> dict[str, Any]:
    chance = rate.chance
    return {
        "difference": rate.difference.as_json(),
        "ratio": rate.ratio.as_json(),
        "highest": rate.highest,
        "lowest": rate.lowest,
        "left_out": dict(rate.left_out),
        "expected_by_chance": None if chance is None else chance.expected,
        "usual_limit_by_chance": None if chance is None else chance.usual_limit,
        "p_value": None if chance is None else rate.p_value,
        "draws": None if chance is None else chance.draws,
        "verdict": rate.verdict,
        "is_fair": rate.is_fair,
    }


def _by_group(rates: Mapping[str, Measure]) -> dict[str, Any]:
    return {name: measure.as_json() for name, measure in rates.items()}
