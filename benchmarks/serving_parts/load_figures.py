"""Figures of a load: answers a second, and times from when a question was due, whoever was late to ask it."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple


class Answered(NamedTuple):
    """One question and its answer; times in seconds of one clock.

    Attributes:
        due: when it should have been asked. In a closed loop that is when it was.
        status: of HTTP; 0: the connection was lost.
        timing: the text of `Server-Timing`.
    """

    due: float
    asked: float
    answered: float
    status: int
    timing: str = ""


def figures_of_load(answers: Sequence[Answered], *, first: float, end: float, by_due_time: bool) -> dict[str, Any]:
    """Figures of the time from `first` to `end`.

    Args:
        by_due_time: whether times are those of questions that were due in between (open loop), else of those that were
            answered in between (closed loop, in which a question is asked only when there is an answer).
    """
    within = [each for each in answers if first <= each.answered < end]
    timed = [each for each in answers if first <= each.due < end] if by_due_time else within
    by_status = Counter(each.status for each in timed)
    return {
        "per_second": round(sum(each.status == 200 for each in within) / (end - first), 2),
        "statuses": {str(status): n for status, n in sorted(by_status.items())},
        "milliseconds": milliseconds(timed, 200),
        **({"milliseconds_of_503": milliseconds(timed, 503)} if by_status[503] else {}),
        **({"most_late_milliseconds": _lateness(timed)} if by_due_time else {}),
        **server_times([each.timing for each in timed if each.status == 200 and each.timing]),
    }


def milliseconds(answers: Sequence[Answered], status: int) -> dict[str, float]:
    """Quantiles of the time from due to answered."""
    times = sorted(1000 * (each.answered - each.due) for each in answers if each.status == status)
    if not times:
        return {}
    named = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}
    return {name: round(quantile(times, share), 3) for name, share in named.items()}


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that at least this share of all do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def server_times(timings: Sequence[str]) -> dict[str, Any]:
    """Medians of what the server says of its own times, and of what is left beside decoding and computing."""
    if not timings:
        return {}
    said = [{name: float(value) for name, _, value in (each.partition(";dur=") for each in timing.split(", "))}
            for timing in timings]  # fmt: skip
    beside = [each["total"] - each["decode"] - each["compute"] for each in said]
    medians = {name: statistics.median(each[name] for each in said) for name in said[0]}
    return {"server_milliseconds": {**_rounded(medians), "around": round(statistics.median(beside), 3)}}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def _lateness(answers: Sequence[Answered]) -> float:
    return round(max((1000 * (each.asked - each.due) for each in answers), default=0.0), 3)
