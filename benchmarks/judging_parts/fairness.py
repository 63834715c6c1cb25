"""Fairness of many answers: rates, differences and verdicts of every class, against fairlearn's MetricFrame."""

import resource
from collections.abc import Callable
from typing import Any

import fairlearn.metrics as peer
import numpy as np

from benchmarks.judging_parts.turns import compared, timed_in_turns
from vitrail.measures.fairness import Fairness, fairness_of
from vitrail.measures.fairness_counts import contingency_table, shares_of
from vitrail.measures.fairness_rates import Compared

ROWS, GROUPS, CLASSES = 10_000_000, 5, 10


def measured(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds of both for the same figures, and ours with intervals, chance and verdicts."""
    rows = 20_000 if smoke else ROWS
    random = np.random.default_rng(0)
    group, labels, other = (random.integers(0, most, rows) for most in (GROUPS, CLASSES, CLASSES))
    predicted = np.where(random.random(rows) < 0.8, labels, other)
    chosen = Compared([f"g{g}" for g in range(GROUPS)], np.ones(GROUPS, bool), [f"c{k}" for k in range(CLASSES)])
    before = _peak_megabytes()
    fairness_of(group, labels, predicted, chosen)
    grown = _peak_megabytes() - before
    ways: dict[str, Callable[[], Any]] = {
        "rates": lambda: _rates(group, labels, predicted),
        "everything": lambda: fairness_of(group, labels, predicted, chosen),
        "fairlearn": lambda: _peer(group, labels, predicted),
    }
    seconds = timed_in_turns(ways, turns=repeats, warm=smoke)
    return {
        "rows": rows,
        "memory_beside_the_rows_megabytes": round(grown, 1),
        "rates": compared(seconds, ours="rates", peer="fairlearn"),
        "everything": compared(seconds, ours="everything", peer="fairlearn"),
        "largest_deviation": _deviation(fairness_of(group, labels, predicted, chosen), group, labels, predicted),
    }


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rates(group: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> list[np.ndarray]:
    """Rates of every group, as MetricFrame gives them, and no more."""
    table = contingency_table(group, labels, predicted, groups=GROUPS, classes=CLASSES)
    return [each.hits / each.trials for each in shares_of(table, list(range(CLASSES)))]


def _peer(group: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> list[Any]:
    """Each class against the rest, as fairlearn's guide advises."""
    metrics = {"said": peer.selection_rate, "tpr": peer.true_positive_rate, "fpr": peer.false_positive_rate}
    return [
        peer.MetricFrame(
            metrics=metrics, y_true=labels == k, y_pred=predicted == k, sensitive_features=group
        ).difference()
        for k in range(CLASSES)
    ]


def _deviation(found: Fairness, group: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> float:
    """From the peer's differences, of the first class."""
    one = found.classes[0]
    frame = peer.MetricFrame(
        metrics={"tpr": peer.true_positive_rate}, y_true=labels == 0, y_pred=predicted == 0, sensitive_features=group
    )
    return abs(float(frame.difference()["tpr"]) - float(one.tpr.difference.value or 0.0))
