"""A number that is never alone: `Measure` carries the sample size and the interval beside the value."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

Statistic = Callable[[np.ndarray], np.ndarray]
"""Weights [R resamples, N images] in; one value [R] or one row of values [R, S] per resample out."""

AT_ONCE = 200_000
"""Weights held at a time (1.6 MB, which a processor's cache holds); resamples are drawn in pieces of this size."""

NO_SPREAD = 1e-12
"""Replicates closer together than this are all equal but for rounding."""


@dataclass(frozen=True)
class Measure:
    """A measured value, what it was measured on, and how sure it is.

    `value` is None when it cannot be computed, `low` and `high` are None when no interval can; `undefined_because`
    then says why. `scale` tells how people read it: shares in [0, 1] as percent, other numbers as they are.

    >>> wilson(147, 153, name="accuracy").text()
    '96.1 % (91.7–98.2, n = 153)'
    """

    name: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str | None = None
    undefined_because: str | None = None
    scale: Literal["percent", "number"] = "percent"

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values; `Measure.from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Measure":
        """The measure that `as_json` wrote."""
        return cls(**fields)

    def text(self) -> str:
        """Value, interval and n in one line for people."""
        if self.value is None:
            return f"undefined (n = {self.n:,}): {self.undefined_because}"
        if self.low is None or self.high is None:
            return f"{self.value_text()} (n = {self.n:,}; no interval: {self.undefined_because})"
        return f"{self.value_text()} ({self.interval_text()}, n = {self.n:,})"

    def value_text(self) -> str:
        """`96.1 %` or `0.982`; `undefined` when there is no value."""
        if self.value is None:
            return "undefined"
        return as_percent(self.value) + " %" if self.scale == "percent" else as_decimal(self.value)

    def interval_text(self) -> str:
        """`91.7–98.2`, in the unit of `text`; empty when there is no interval."""
        if self.low is None or self.high is None:
            return ""
        if self.scale == "percent":
            return f"{as_percent(self.low)}–{as_percent(self.high)}"
        return f"{as_decimal(self.low)}–{as_decimal(self.high)}"


def as_percent(share: float | int) -> str:
    """A share in [0, 1] as percent with one decimal; only a true 1 reads `100.0`.

    >>> as_percent(0.9999)
    '99.9'
    """
    return f"{min(100 * share, 99.9) if share < 1 else 100 * share:.1f}"


def as_decimal(value: float | int) -> str:
    """A number with three decimals; what is below 1 never reads `1.000`.

    >>> as_decimal(0.99998)
    '0.999'
    """
    return f"{min(value, 0.999) if value < 1 else value:.3f}"


def wilson(successes: int, n: int, *, name: str, level: float = 0.95) -> Measure:
    """The share of successes among `n` independent trials, with Wilson's score interval.

    Source: E. B. Wilson (1927), Probable inference, JASA 22, p. 209. Never empty or outside [0, 1], also at 0 and n.
    """
    if n == 0:
        return Measure(name, None, 0, level=level, undefined_because="there are no images to measure it on")
    low, high = wilson_limits(successes / n, n, level=level)
    return Measure(name, successes / n, n, low, high, level, "Wilson")


def wilson_limits(share: float, n: float | int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's limits for a share observed in `n` > 0 trials; `n` may be an effective, fractional size.

    >>> [round(limit, 5) for limit in wilson_limits(0.9, 10)]
    [0.59585, 0.98212]
    """
    z = normal_quantile(level)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and 1 the formula gives the end itself up to rounding; rounding must not exclude the observed value.
    return (0.0 if share == 0 else max(0.0, middle - half)), (1.0 if share == 1 else min(1.0, middle + half))


def normal_quantile(level: float) -> float:
    """How many standard errors a two-sided interval of this level reaches: 1.96 for 0.95."""
    return float(ndtri(0.5 + level / 2))


def cluster_bootstrap(
    statistic: Statistic, clusters: Int[np.ndarray, "N"], *, seed: int, resamples: int = 1000
) -> Float[np.ndarray, "R *S"]:
    """The statistic of `resamples` data sets, each made by drawing whole clusters with replacement.

    Images of one patient resemble each other, so patients are drawn, not images. With every image a cluster of its
    own this is the ordinary bootstrap.

    Args:
        statistic: from weights [R, N] (how often each image was drawn) to one value, or one row of values, for each
            resample; NaN where undefined.
        clusters: the cluster of each image, numbered from 0 without gaps.
        seed: the same seed gives the same numbers.

    Source: A. C. Davison and D. V. Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """
    random = np.random.default_rng(seed)
    size = int(clusters.max()) + 1
    rows = max(1, min(resamples, AT_ONCE // len(clusters)))
    values = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = random.integers(0, size, (count, size)) + size * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
        values.append(statistic(np.take(times.astype(np.float64), clusters, axis=1)))
    return np.concatenate(values)


def affordable_resamples(n: int, *, columns: int = 1) -> int:
    """1000 resamples, fewer (never under 200) where `n` images times `columns` would take more than seconds."""
    return int(np.clip(200_000_000 // (n * columns), 200, 1000))


def bootstrapped(measure: Measure, replicates: Float[np.ndarray, "R"], *, clusters: Int[np.ndarray, "M"]) -> Measure:
    """`measure` with the percentile interval of its bootstrap replicates.

    A share whose replicates have no spread (most often exactly 0 or 1) would claim certainty: it gets Wilson's
    interval for as many trials as there are clusters. A single cluster gets no interval at all.

    Args:
        measure: value and n; returned as it is when its value is undefined.
        replicates: from `cluster_bootstrap`; undefined ones (NaN) are left out.
        clusters: the clusters of the images that the measure is about.
    """
    count = len(np.unique(clusters))
    defined = replicates[~np.isnan(replicates)]
    if measure.value is None:
        return measure
    if count < 2 or not len(defined):
        return replace(measure, undefined_because="all these images belong to one group")
    method = "cluster bootstrap" if count < len(clusters) else "bootstrap"
    outside = (1 - measure.level) / 2
    low, high = map(float, np.quantile(defined, [outside, 1 - outside]))
    if measure.scale == "percent" and high - low < NO_SPREAD:
        low, high = wilson_limits(measure.value, count, level=measure.level)
        method = f"Wilson on {count} {'groups' if count < len(clusters) else 'images'}"
    return replace(measure, low=low, high=high, method=method)


def ratio(above: Float[np.ndarray, "*S"], below: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """`above / below`, NaN where `below` is 0: undefined is not zero."""
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
