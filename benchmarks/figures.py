"""Figures of a benchmark: medians with their range, ratios of what took turns with their interval."""

import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 10_000
FEWEST_PAIRS = 5
"""With fewer pairs the bootstrap of a median says nothing: no interval is given."""


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), 4),
        "least": round(min(values), 4),
        "most": round(max(values), 4),
    }


def median_with_interval(values: Sequence[float]) -> dict[str, Any]:
    """Median of one value per pair, and the percentile bootstrap 95 % interval of that median."""
    low = high = None
    if len(values) >= FEWEST_PAIRS:
        random = np.random.default_rng(0)
        medians = np.median(random.choice(np.asarray(values), (RESAMPLES, len(values))), axis=1)
        low, high = (round(float(limit), 4) for limit in np.quantile(medians, [0.025, 0.975]))
    return {"median": round(statistics.median(values), 4), "low": low, "high": high, "pairs": len(values)}


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, Any]:
    """Median of the ratios within each pair, with its interval; position i of both was measured in the same turn."""
    return median_with_interval([one / other for one, other in zip(above, below, strict=True)])


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
