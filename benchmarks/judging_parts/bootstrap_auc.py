"""The bootstrap interval of an AUC, against the loop around scikit-learn that everybody writes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.judging_parts.turns import compared, timed_in_turns
from vitrail.measures.ranking import roc_auc

ROWS, RESAMPLES = 100_000, 1000


def measured(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds of both for 1,000 resamples, and how far their limits lie apart, in widths of the interval.

    The loop is timed for 50 resamples a turn and counted twenty times: it takes half a minute otherwise.
    """
    rows, of_peer = (2_000, 200) if smoke else (ROWS, 50)
    random = np.random.default_rng(0)
    positive = random.random(rows) < 0.3
    scores = random.normal(size=rows) + positive
    every, drawn = np.arange(rows), np.random.default_rng(1)

    def looped(resamples: int = of_peer) -> list[float]:
        found = []
        for _ in range(resamples):
            chosen = drawn.integers(0, rows, rows)
            found.append(roc_auc_score(positive[chosen], scores[chosen]))
        return found

    ways: dict[str, Callable[[], Any]] = {
        "vitrail": lambda: roc_auc(positive, scores, groups=every),
        "delong": lambda: roc_auc(positive, scores),
        "scikit_learn": looped,
    }
    seconds = timed_in_turns(ways, turns=repeats, warm=True)
    seconds["scikit_learn"] = [each * RESAMPLES / of_peer for each in seconds["scikit_learn"]]
    ours, theirs = roc_auc(positive, scores, groups=every), np.std(looped(200))
    width = (ours.high or 0) - (ours.low or 0)
    return {
        "rows": rows,
        "resamples": RESAMPLES,
        **compared(seconds, ours="vitrail", peer="scikit_learn"),
        "width_in_their_standard_deviations": round(float(width / theirs), 2),
    }
