"""Simulated rollouts: how often a candidate that is as good is stopped, and how soon a bad one is; one core.

python -m benchmarks.rollouts            # a thousand that are as good, fifty of each bad kind
python -m benchmarks.rollouts --smoke
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from vitrail.measures.intervals import wilson
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.simulation import (
    SimulatedModel,
    SimulatedRollout,
    SimulatedTraffic,
    simulated_rollouts,
)

STABLE = SimulatedModel()
TRAFFIC = SimulatedTraffic(tick_seconds=120.0)
TOLD = replace(TRAFFIC, truth_share=0.3)
OFTEN = SimulatedModel(failure_rate=0.03)
PLAN = RolloutSettings.gather(warm_up_seconds=120.0)
NO_SHADOW = RolloutSettings.gather(warm_up_seconds=120.0, shadow_share=0.0)
AS_GOOD = {
    "the same, 0.1 % failures": (STABLE, STABLE, TRAFFIC),
    "the same, 3 % failures": (OFTEN, OFTEN, TRAFFIC),
    "the same, truths come for 30 %": (STABLE, STABLE, TOLD),
    "fails more often by the margin, 0.2 %": (STABLE, replace(STABLE, failure_rate=0.003), TRAFFIC),
}
WORSE = {
    "1 % random errors": (STABLE, replace(STABLE, failure_rate=0.011), TRAFFIC),
    "1 % random errors, no shadow": (STABLE, replace(STABLE, failure_rate=0.011), TRAFFIC),
    "three times the latency": (STABLE, replace(STABLE, seconds=0.09), TRAFFIC),
    "permuted labels, no truths": (STABLE, replace(STABLE, accuracy=0.1), TRAFFIC),
    "one bad class, no truths": (STABLE, replace(STABLE, class_accuracy={3: 0.05}), TRAFFIC),
    "one bad class, truths": (STABLE, replace(STABLE, class_accuracy={3: 0.05}), TOLD),
    "accuracy - 5 points, truths": (STABLE, replace(STABLE, accuracy=0.85), TOLD),
    "accuracy - 3 points, truths": (STABLE, replace(STABLE, accuracy=0.87), TOLD),
}
STOPPED = ("rejected", "canary_failed", "rollout_failed")


def figures_of(rollouts: Iterable[SimulatedRollout]) -> dict[str, Any]:
    """How they ended, and after how much."""
    found = list(rollouts)
    ended = [each for each in found if each.result.startswith(STOPPED)]
    return {
        "rollouts": len(found), "results": dict(Counter(each.result for each in found)), "stopped": len(ended),
        "stopped_share": wilson(len(ended), len(found), name="stopped").text(),
        "median_seconds": float(np.median([each.seconds for each in found])),
        "median_requests": float(np.median([each.requests for each in found])),
        "median_exposed": float(np.median([each.exposed for each in found])),
        "most_exposed": max(each.exposed for each in found),
    }  # fmt: skip


def main() -> None:
    """Print the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few of each")
    parser.add_argument("--only", choices=["as good", "worse"], help="one half")
    chosen = parser.parse_args()
    halves = {"as good": (AS_GOOD, 250), "worse": (WORSE, 50)}
    table: dict[str, Any] = {"alpha": PLAN.guardrails.alpha}
    for half, (cases, many) in halves.items():
        if chosen.only not in (None, half):
            continue
        begun = time.perf_counter()
        for name, (stable, candidate, traffic) in cases.items():
            plan = NO_SHADOW if "no shadow" in name else PLAN
            rollouts = simulated_rollouts(plan, stable, candidate, traffic, seeds=range(3 if chosen.smoke else many))
            table[name] = figures_of(rollouts)
        table[f"seconds, {half}"] = round(time.perf_counter() - begun, 1)
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
