"""May one model replace another? Asked again after every image that both answered."""

import numpy as np

from vitrail.basics.errors import InputError
from vitrail.measures.anytime_means import bounded_mean, log_capital
from vitrail.measures.intervals import Measure

_GAINS = np.array([-1.0, 0.0, 1.0])
"""An answer that turned wrong, one that is as right or wrong as it was, and one that turned right."""


def difference_so_far(pairs: int, *, fixed: int, broken: int, level: float = 0.95) -> Measure:
    """Accuracy of a second model minus that of a first, with limits that hold however often one looks.

    `replacement.replacement` makes a verdict of it: the test of non-inferiority with a margin. Exact for few pairs,
    also where nothing was broken yet.

    Args:
        pairs: images that both answered and whose truth is known.
        fixed: of these, that only the second gets right.
        broken: that only the first gets right.
        level: of both limits together.

    Raises:
        InputError: more were fixed and broken than there are, or fewer than none.

    Source: `anytime_means.bounded_mean`, of gains in [-1, 1].

    >>> difference_so_far(400, fixed=6, broken=4).text()
    '0.005 (-0.026–0.038, n = 400)'
    """
    counts = _counts(pairs, fixed, broken)
    return bounded_mean(_GAINS, counts, name="accuracy difference", between=(-1.0, 1.0), level=level)


def loss_p_value(pairs: int, *, fixed: int, broken: int, margin: float) -> float:
    """That accuracy falls by `margin` at most; valid at this moment, however often one has looked before.

    >>> loss_p_value(100, fixed=0, broken=20, margin=0.02) < 0.001
    True
    """
    unit = (_GAINS + 1) / 2
    capital = log_capital(unit, _counts(pairs, fixed, broken), null=(1 - margin) / 2, side="below")
    return float(min(1.0, np.exp(-capital)))


def _counts(pairs: int, fixed: int, broken: int) -> np.ndarray:
    if min(fixed, broken) < 0 or fixed + broken > pairs:
        raise InputError(
            f"of {pairs} pairs, {fixed} were fixed and {broken} broken",
            hint="each pair is fixed, broken or neither; counts are 0 or more",
        )
    return np.array([broken, pairs - fixed - broken, fixed], dtype=np.float64)
