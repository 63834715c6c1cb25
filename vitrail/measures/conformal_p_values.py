"""How usual a score is among those of held-out rows: valid whatever the scores are, as long as nothing has changed."""

import math

import numpy as np
from jaxtyping import Float

from vitrail.basics.errors import InputError
from vitrail.measures.covariance import refuse_no_numbers


def conformal_p_values(held_out: Float[np.ndarray, "N"], scores: Float[np.ndarray, "M"]) -> Float[np.ndarray, "M"]:
    """p = (1 + #{held out ≥ score}) / (N + 1): of as many as this share, a score is at least so large by chance.

    Args:
        held_out: scores of rows that had no part in what scores are made of, in ascending order.
        scores: of new rows; larger is more unusual.

    Source: V. Vovk, A. Gammerman, G. Shafer (2005), Algorithmic Learning in a Random World, section 2.2.

    >>> conformal_p_values(np.arange(99.0), np.array([1000.0, -1.0])).tolist()
    [0.01, 1.0]

    Raises:
        InputError: a score is NaN or infinite, or the held-out ones are not in order.
    """
    _refuse_disorder(held_out)
    refuse_no_numbers(scores, thing="scores")
    return (1 + len(held_out) - np.searchsorted(held_out, scores, side="left")) / (len(held_out) + 1)


def conformal_threshold(held_out: Float[np.ndarray, "N"], *, alpha: float = 0.05) -> float:
    """The score above which at most the share `alpha` of unchanged rows lies: the ⌈(N+1)(1−α)⌉-th smallest.

    >>> conformal_threshold(np.arange(1.0, 100.0))
    95.0

    Returns:
        Infinity where so few rows were held out (fewer than 1/α − 1) that no score is large enough.

    Raises:
        InputError: see `conformal_p_values`.
    """
    _refuse_disorder(held_out)
    # A hair of slack: 20 · 0.95 must not become the 20th for 19 scores.
    rank = math.ceil((len(held_out) + 1) * (1 - alpha) - 1e-9)
    return float(held_out[rank - 1]) if rank <= len(held_out) else math.inf


def least_held_out(alpha: float) -> int:
    """How many rows must be held out for any score to be unusual at this level.

    >>> least_held_out(0.05), least_held_out(0.01)
    (19, 99)
    """
    return math.ceil(1 / alpha - 1e-9) - 1


def _refuse_disorder(held_out: Float[np.ndarray, "N"]) -> None:
    refuse_no_numbers(held_out, thing="held-out scores")
    if (held_out[1:] < held_out[:-1]).any():
        raise InputError("held-out scores are not in ascending order", hint="sort them: numpy.sort(scores)")
