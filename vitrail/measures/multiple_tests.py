"""Many tests at once: p-values that account for how many there were."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: at most 5 % of all families of true hypotheses have one below 0.05, however they depend.

    Source: S. Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6, p. 65.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    ranked = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(ranked), 1.0) if len(order) else ranked
    return [float(p) for p in adjusted]
