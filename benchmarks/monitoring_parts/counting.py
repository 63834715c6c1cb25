"""Counting an outcome, and figures of an hour in which much was counted."""

import random
import time
import tracemalloc
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from benchmarks.figures import paired_ratio, summary
from vitrail.basics.clock import SystemClock
from vitrail.monitoring.live_figures import LiveFigures
from vitrail.monitoring.tally import Outcome

CLASSES = 10


class MovedClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return self.seconds

    def wall(self) -> float:
        """Likewise, from a day in 2023 on."""
        return 1_700_000_000.0 + self.seconds


def outcomes(count: int, *, seed: int = 0) -> list[Outcome]:
    """Answers of a model that takes around 50 ms."""
    draw = random.Random(seed)
    classes = [f"class {number}" for number in range(CLASSES)]
    return [
        Outcome("success", draw.lognormvariate(-3, 0.6), draw.choice(classes), draw.random(), draw.random() < 0.1)
        for _ in range(count)
    ]


def counting(repeats: int, smoke: bool) -> dict[str, Any]:
    """Microseconds an outcome, and how many times prometheus_client's counter and histogram together take of that."""
    given, turns = outcomes(200 if smoke else 50_000), 2 if smoke else 7 * repeats
    live, registry = LiveFigures(SystemClock()), CollectorRegistry()
    images = Counter("images", "by arm", ["arm", "outcome"], registry=registry).labels("a", "success")
    seconds = Histogram("seconds", "by arm", ["arm"], registry=registry).labels("a")
    ours, theirs = [], []
    for _ in range(turns):
        start = time.perf_counter()
        for each in given:
            live.count("a", each)
        middle = time.perf_counter()
        for each in given:
            images.inc()
            seconds.observe(each.seconds or 0.0)
        end = time.perf_counter()
        ours.append((middle - start) / len(given) * 1e6)
        theirs.append((end - middle) / len(given) * 1e6)
    return {"vitrail_us": summary(ours), "prometheus_client_us": summary(theirs), "ratio": paired_ratio(theirs, ours)}


def hour_of_figures(clock: MovedClock, *, a_slot: int) -> LiveFigures:
    """An hour of one arm, so many outcomes in every slot of five seconds."""
    live, given, draw = LiveFigures(clock), outcomes(5000), random.Random(1)
    for _ in range(720):
        for _ in range(a_slot):
            live.count("a", given[draw.randrange(len(given))])
        clock.seconds += 5
    return live


def looking(repeats: int, smoke: bool) -> dict[str, Any]:
    """Milliseconds for a window of an hour the first time and after that, for a chart of it; megabytes an arm."""
    tracemalloc.start()
    live = hour_of_figures(MovedClock(), a_slot=2 if smoke else 200)
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    found: dict[str, list[float]] = {"window": [], "series": []}
    start = time.perf_counter()
    live.window("a", seconds=3600)
    first = (time.perf_counter() - start) * 1e3
    for _ in range(20 * repeats):
        start = time.perf_counter()
        live.window("a", seconds=3600)
        middle = time.perf_counter()
        live.series("a", seconds=3600, points=60)
        found["window"].append((middle - start) * 1e3)
        found["series"].append((time.perf_counter() - middle) * 1e3)
    return {
        "first_window_ms": round(first, 3), "window_ms": summary(found["window"]),
        "series_ms": summary(found["series"]), "megabytes": round(megabytes, 1),
    }  # fmt: skip
