"""How often the verdict "unfair" is wrong where all is fair, and how often it finds what is unfair."""

from typing import Any

import numpy as np

from benchmarks.figures import tell
from vitrail.measures.fairness import fairness_of
from vitrail.measures.fairness_rates import Compared

DRAWS = 1000
KINDS: dict[str, dict[str, Any]] = {
    "two groups of 200, no difference": {"sizes": (200, 200)},
    "two groups of 200, truly 9.9 points apart, which is fair": {"sizes": (200, 200), "gap": 0.099},
    "five groups of 100, 7 classes, no difference": {"sizes": (100,) * 5, "K": 7},
    "two groups of 40 patients with 10 like images each, no difference": {"sizes": (400, 400), "each": 10},
    "two groups of 200, 20 points apart": {"sizes": (200, 200), "gap": 0.2},
    "two groups of 200, 30 points apart": {"sizes": (200, 200), "gap": 0.3},
    "two groups of 1000, 20 points apart": {"sizes": (1000, 1000), "gap": 0.2},
    "two groups of 1000, no difference": {"sizes": (1000, 1000)},
}


def measured(repeats: int, smoke: bool) -> dict[str, Any]:
    """By kind of draw: shares of draws with each verdict in any rate, and with p below 0.05."""
    draws = 20 if smoke else DRAWS * repeats
    found = {}
    for name, kind in KINDS.items():
        tell(name)
        outcomes = np.array([_outcome(seed, **kind) for seed in range(draws)], dtype=np.float64)
        unfair, all_fair, differs = outcomes.mean(axis=0)
        found[name] = {"draws": draws, "any_unfair": unfair, "accuracy_fair": all_fair, "any_p_below_0.05": differs}
    return found


def _outcome(
    seed: int, *, sizes: tuple[int, ...], K: int = 2, gap: float = 0.0, each: int = 1
) -> tuple[bool, bool, bool]:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    patients = np.arange(len(group)) // each
    labels = random.integers(0, K, len(group))
    rate = 0.85 - gap * (group == len(sizes) - 1)
    right = random.random(int(patients.max()) + 1)[patients] < rate
    predicted = np.where(right, labels, (labels + random.integers(1, K, len(group))) % K)
    chosen = Compared(
        [f"g{g}" for g in range(len(sizes))], np.ones(len(sizes), bool), [f"c{k}" for k in range(K)],
        seed=seed, most_draws=999,
    )  # fmt: skip
    fairness = fairness_of(group, labels, predicted, chosen, patients=patients if each > 1 else None)
    rates = [fairness.accuracy, *(r for c in fairness.classes for r in (c.positive_rate, c.tpr, c.fpr))]
    return (
        any(rate.verdict == "unfair" for rate in rates),
        fairness.accuracy.verdict == "fair",
        any(rate.p_value < 0.05 for rate in rates),
    )
