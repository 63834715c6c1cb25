"""Live figures by hand."""

from collections import Counter

import numpy as np

from vitrail.measures.intervals import wilson
from vitrail.monitoring.counted_truths import CountedTruths
from vitrail.monitoring.shift_reports import ShiftReport
from vitrail.rollout.operating.live_figures import LiveFigures

CLASSES = ("cat", "dog", "owl")


def truths(rows):
    """From (window, {attribute: value}, right, times)."""
    found = Counter()
    for window, attributes, right, times in rows:
        truth = "cat" if right else "dog"
        found[window, tuple(sorted(attributes.items())), "cat", truth] += times
    return [CountedTruths(*key, times) for key, times in sorted(found.items()) if times]


def live(rows=(), *, windows, streams=(), expected=(184, 200), counted=None):
    """`windows` are over; the next one has begun."""
    measure = None if expected is None else wilson(*expected, name="accuracy")
    known = truths(rows) if counted is None else counted
    return LiveFigures("flowers@1", "d" * 64, 1000.0, 1000.0 + windows * 10.0, 10.0, known, streams, measure)


def stream(p_value, *, seen=500, unlike=25, life=1):
    return ShiftReport("server", "flowers", life, "d" * 64, seen, unlike, p_value)


def drawn(rng, windows, per_window, accuracies):
    """Answers by lot; accuracies by value of `sex`, each with as many answers."""
    rows = []
    for window in range(windows):
        for value, accuracy in accuracies.items():
            right = int(rng.binomial(per_window, accuracy))
            attributes = {"sex": value}
            rows += [(window, attributes, True, right), (window, attributes, False, per_window - right)]
    return rows


def confusion(table):
    """Counted truths from a square table, answers in rows."""
    names = CLASSES[: len(table)]
    return [
        CountedTruths(0, (), answer, truth, int(times))
        for answer, row in zip(names, np.array(table), strict=True)
        for truth, times in zip(names, row, strict=True) if times
    ]  # fmt: skip
