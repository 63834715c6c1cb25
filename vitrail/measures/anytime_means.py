"""Means that may be looked at after every value: exact for bounded values, and asymptotic for any."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from vitrail.basics.errors import InputError
from vitrail.measures.intervals import Measure

FRACTIONS = (0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4, 0.65, 0.9)
"""Of the capital that is bet on each value; the best one is within a factor of 1.5 of one of these."""
LEAST_VALUES = 100
"""Asymptotic limits are none for fewer: they hold as far as the central limit theorem does."""
TIGHTEST_AT = 5000
"""Values after which asymptotic limits are as narrow as they can be."""
_NEAR_END = 1e-9
EXACT, ASYMPTOTIC = "betting, at any moment", "asymptotic, at any moment"

Values = Float[np.ndarray, " V"]


def log_capital(values: Values, counts: Values, *, null: float, side: Literal["above", "below"]) -> float:
    """Natural logarithm of a capital that was bet on a mean `above` (or `below`) the null.

    While the mean is not, whatever the moment somebody looks at, it has reached 1/α with probability α at most: for
    values in [0, 1], in any order, whose mean given all that came before may change as long as it does not pass the
    null. The same fraction is bet on each value, so that the order does not matter, mixed over ten fractions.

    Args:
        values: in [0, 1], those that there are.
        counts: how many of each.
        null: the mean that is tested, in (0, 1).
        side: where the mean is expected.

    Source: I. Waudby-Smith and A. Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86,
    p. 1, section 4: the capital process, with constant bets on a grid.

    >>> shares = np.array([0.0, 1.0])
    >>> round(log_capital(shares, np.array([0.0, 10.0]), null=0.5, side="above"), 3)
    4.39
    """
    if side == "below":
        values, null = 1 - values, 1 - null
    if not 0 < null < 1:
        return 0.0
    fractions = np.array(FRACTIONS)[:, None]
    won = np.log1p(fractions * (values / null - 1)) @ counts
    return float(np.logaddexp.reduce(won) - math.log(len(won)))


def bounded_mean(
    values: Values, counts: Values, *, name: str, between: tuple[float, float] = (0.0, 1.0), level: float = 0.95
) -> Measure:
    """A mean with limits that hold at every moment at once: exact, also for few values.

    Args:
        values: those that there are, between the bounds.
        counts: how many of each.
        name: of the measure.
        between: the bounds of the values.
        level: that the mean is always within the limits; half of the rest on either side.

    Raises:
        InputError: a value is outside the bounds.
    """
    least, most = between
    scale: Literal["percent", "number"] = "percent" if between == (0.0, 1.0) else "number"
    n = int(counts.sum())
    if not n:
        return Measure(name, None, 0, level=level, undefined_because="nothing was measured yet", scale=scale)
    if values.min() < least or values.max() > most:
        raise InputError(
            f"{name}: values from {values.min():g} to {values.max():g}",
            hint=f"exact limits need values from {least:g} to {most:g}",
        )
    unit = (values - least) / (most - least)
    mean = float(unit @ counts / n)
    needed = math.log(2 / (1 - level))

    def far(null: float, side: Literal["above", "below"]) -> float:
        return log_capital(unit, counts, null=null, side=side) - needed

    least_mean, most_mean = _NEAR_END, 1 - _NEAR_END
    low, high = 0.0, 1.0
    if mean > least_mean and far(least_mean, "above") > 0:
        low = brentq(far, least_mean, mean, args=("above",), xtol=1e-9)
    if mean < most_mean and far(most_mean, "below") > 0:
        high = brentq(far, mean, most_mean, args=("below",), xtol=1e-9)
    stretched = [float(least + (most - least) * each) for each in (mean, low, high)]
    return Measure(name, stretched[0], n, stretched[1], stretched[2], level, EXACT, scale=scale)


def asymptotic_mean(
    mean: float, variance: float, n: int, *, name: str, level: float = 0.95, tightest_at: int = TIGHTEST_AT
) -> Measure:
    """A mean of values that have no bounds, with limits that hold at every moment from the hundredth value on.

    Args:
        mean: of the values.
        variance: of the values; for the difference of two shares see `difference_of_shares`.
        n: how many there are.
        name: of the measure.
        level: of the limits.
        tightest_at: values after which the limits are as narrow as they can be.

    Source: I. Waudby-Smith et al. (2024), Time-uniform central limit theory and asymptotic confidence sequences,
    Annals of Statistics 52, p. 2613 (arXiv 2103.06476), theorem 2.2 and appendix B.2 for ρ.
    """
    if n < LEAST_VALUES:
        needed = f"{n:,} values, at least {LEAST_VALUES:,} are needed"
        return Measure(name, mean if n else None, n, level=level, undefined_because=needed, scale="number")
    half = math.sqrt(variance) * boundary(n, alpha=1 - level, sides=2, tightest_at=tightest_at)
    return Measure(name, mean, n, mean - half, mean + half, level, ASYMPTOTIC, scale="number")


def boundary(n: float | int, *, alpha: float, sides: Literal[1, 2], tightest_at: int = TIGHTEST_AT) -> float:
    """How many standard deviations of a value the limit is from the mean of `n` values, at every moment at once.

    One-sided limits: equation 134 of the arXiv version.

    >>> round(boundary(5000, alpha=0.05, sides=1), 5), round(boundary(5000, alpha=0.05, sides=2), 5)
    (0.03929, 0.04293)
    """
    doubled = alpha * 2 if sides == 1 else alpha
    rho = (-2 * math.log(doubled) + math.log(-2 * math.log(doubled)) + 1) / tightest_at
    grown = n * rho + 1
    logarithm = math.log1p(math.sqrt(grown) / doubled) if sides == 1 else math.log(math.sqrt(grown) / alpha)
    return math.sqrt(2 * grown / (n * n * rho) * logarithm)


def difference_of_shares(
    hits: int, n: int, other_hits: int, other_n: int, *, name: str, level: float = 0.95
) -> Measure:
    """A share minus that of a control beside it, with asymptotic limits for every moment at once.

    A half hit and a half miss are added to each, so that nothing is certain because it has not happened yet.

    Source: `asymptotic_mean`; the added halves are those of A. Agresti and B. Caffo (2000), The American Statistician
    54, p. 280, halved.
    """
    total = n + other_n
    if not n or not other_n:
        return Measure(name, None, total, level=level, undefined_because="one of both has no requests", scale="number")
    share, other = (hits + 0.5) / (n + 1), (other_hits + 0.5) / (other_n + 1)
    variance = total * (share * (1 - share) / n + other * (1 - other) / other_n)
    return asymptotic_mean(hits / n - other_hits / other_n, variance, total, name=name, level=level)
