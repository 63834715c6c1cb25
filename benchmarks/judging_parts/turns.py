"""Timing of what is compared: it takes turns, so that whatever else the machine does hits all alike."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.figures import median_with_interval, paired_ratio, tell


def timed_in_turns(ways: Mapping[str, Callable[[], Any]], *, turns: int, warm: bool = True) -> dict[str, list[float]]:
    """Seconds of every way, by name, one per turn; position i of all of them belongs to the same turn.

    Args:
        ways: what is timed, in the order in which they take turns.
        turns: how often.
        warm: whether a turn that is not counted goes before.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1 if warm else 0, turns):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
        tell(f"turn {turn + 1} of {turns}: " + ", ".join(f"{n} {s[-1]:.4g} s" for n, s in seconds.items() if s))
    return seconds


def compared(seconds: Mapping[str, list[float]], *, ours: str, peer: str) -> dict[str, Any]:
    """Medians, and how many times as fast as the peer we are, turn by turn."""
    return {
        **{f"{name}_seconds": median_with_interval(found) for name, found in seconds.items()},
        "times_as_fast": paired_ratio(seconds[peer], seconds[ours]),
    }
