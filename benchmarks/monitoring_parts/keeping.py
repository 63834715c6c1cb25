"""Truths of many requests, and what a keeper takes of the process that serves."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import summary
from benchmarks.monitoring_parts.counting import MovedClock, hour_of_figures, outcomes
from vitrail.basics.database import opened_database
from vitrail.monitoring.keeper import FiguresKeeper
from vitrail.monitoring.live_figures import LiveFigures
from vitrail.monitoring.truth import Truths


def truths(repeats: int, smoke: bool) -> dict[str, Any]:
    """Microseconds to remember an answer and to take its truth; milliseconds for accuracy by group of all of them."""
    count, kept, looks = 500 if smoke else 100_000, Truths(MovedClock()), []
    start = time.perf_counter()
    for each in range(count):
        kept.remember(
            f"{each:032x}", "a", "ant" if each % 3 else "bee", {"sex": "fm"[each % 2], "site": f"s{each % 7}"}
        )
    middle = time.perf_counter()
    for each in range(count):
        kept.tell(f"{each:032x}", "ant")
    end = time.perf_counter()
    for _ in range(10 * repeats):
        begun = time.perf_counter()
        kept.window("a")
        looks.append((time.perf_counter() - begun) * 1e3)
    return {
        "remember_us": round((middle - start) / count * 1e6, 2), "tell_us": round((end - middle) / count * 1e6, 2),
        "window_ms": summary(looks),
    }  # fmt: skip


def keeping(repeats: int, smoke: bool) -> dict[str, Any]:
    """Milliseconds of the processor and by the clock for a round with 1,000 answers, and to take up an hour."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        places = {"sqlite": str(Path(folder) / "figures.db"), "postgresql": os.environ.get("VITRAIL_BENCH_POSTGRES")}
        for name, place in places.items():
            if place:
                figures[name] = _rounds(place, repeats, answers=20 if smoke else 1000, a_slot=2 if smoke else 100)
    return figures


def _rounds(place: str, repeats: int, *, answers: int, a_slot: int) -> dict[str, Any]:
    database, clock = opened_database(place), MovedClock()
    live, kept = hour_of_figures(clock, a_slot=a_slot), Truths(clock)
    keeper = FiguresKeeper(live, database, server="one", truths=kept)
    figures: dict[str, Any] = {"write_an_hour_ms": _milliseconds(keeper)[0]}
    times = []
    for turn in range(7 * repeats):
        for number, each in enumerate(outcomes(answers, seed=turn)):
            live.count("a", each)
            kept.remember(f"{turn}-{number}", "a", each.answer or "", {"sex": "f", "site": "x"})
        clock.seconds += 5
        times.append(_milliseconds(keeper))
    another = FiguresKeeper(LiveFigures(clock), database, server="two", truths=Truths(clock))
    figures["round_ms"], figures["round_processor_ms"] = (summary([each[place] for each in times]) for place in (0, 1))
    figures["take_up_an_hour_ms"] = _milliseconds(another)[0]
    database.close()
    return figures


def _milliseconds(keeper: FiguresKeeper) -> tuple[float, float]:
    start, processor = time.perf_counter(), time.process_time()
    if not keeper.keep_once():
        raise RuntimeError(keeper.state.reason)
    return round((time.perf_counter() - start) * 1e3, 2), round((time.process_time() - processor) * 1e3, 2)
