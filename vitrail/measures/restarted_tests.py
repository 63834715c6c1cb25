"""A test that begins afresh again and again, so that what goes wrong late is found as if it were new."""

import numpy as np
from jaxtyping import Float


def restarted_log_capital(log_capitals: Float[np.ndarray, " R"], *, first: int = 1) -> float:
    """Natural logarithm of one capital, of which a part was put aside for every beginning.

    The part of beginning j is 1/(j(j+1)): these add up to one, and what was put aside for beginnings to come stays as
    it is. As long as every single capital reaches 1/α with probability α at most, whatever the moment, so does this
    one, over all beginnings together (J. Ville, 1939, of a mixture of martingales).

    Args:
        log_capitals: natural logarithm of the capital of each beginning, oldest first.
        first: number of the oldest; those before it were given up, which only lowers the capital.

    >>> round(restarted_log_capital(np.array([5.0])), 3), round(restarted_log_capital(np.zeros(4)), 3)
    (4.314, 0.0)
    """
    numbers = np.arange(first, first + len(log_capitals), dtype=np.float64)
    rest = 1 / (first + len(log_capitals))
    return float(np.logaddexp.reduce([*(log_capitals + np.log(shares(numbers))), np.log(rest)]))


def shares(numbers: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
    """The part of each beginning, 1/(j(j+1)).

    >>> shares(np.array([1.0, 2.0, 3.0]))
    array([0.5       , 0.16666667, 0.08333333])
    """
    return 1 / (numbers * (numbers + 1))
