"""Does one arm fail more often than another that runs beside it? A test that may be looked at after every request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from vitrail.basics.errors import InputError

Side = Literal["above", "below"]

BASE_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Failure rates of the control that are bet on; each is within a factor of 1.8 of what may be."""
EXCESSES = (0.002, 0.005, 0.012, 0.03, 0.08, 0.2, 0.5)
"""By how much more than the margin the arm may fail, likewise."""
SHARES_OF_MARGIN = (0.0, 0.3)
"""Where it is to be shown that an arm is not worse: how much of the margin it may use up."""
_LEAST, _MOST = 1e-12, 1 - 1e-12
_MOST_STEPS = 20


class Block(NamedTuple):
    """What came between two looks.

    Attributes:
        requests: of the arm.
        failures: of these.
        control_requests: at the same time, of the control.
        control_failures: of these.
    """

    requests: int
    failures: int
    control_requests: int
    control_failures: int


_NOTHING = Block(0, 0, 0, 0)


@dataclass(frozen=True)
class RateTest:
    """Tests that an arm's failure rate is at most the control's plus a margin (or, `below`, at least that much).

    A capital of 1 is bet against it, on a grid of rates, block by block; whatever the moment somebody looks at, it has
    reached 1/α with probability α at most. This is exact for any counts, small ones too: for requests that fail
    independently, with any number of requests in either arm, and with rates that change as they like as long as they
    do so for both arms alike.

    A part of the capital is put aside for later runs, which begin afresh: an arm that was well for a long time and
    fails from then on is found as if it were new. Half of it is the first run's.

    Source: R. Turner, A. Ly and P. Grünwald (2024), Generic E-variables for exact sequential k-sample tests that allow
    for optional stopping, J. Stat. Plan. Inference 230, art. 106116; with a margin: R. Turner and P. Grünwald (2023),
    Exact anytime-valid confidence intervals for contingency tables and beyond, Stat. Probab. Lett. 198, art. 109835;
    the mixture over a grid is the method of mixtures; J. Ville (1939) for the probability.

    Attributes:
        margin: of the rates' difference, 0 or more.
        side: what is to be shown: that the arm fails `above` control + margin, or `below`.
        log_capitals: by run and place of the grid, natural logarithms.
        running: how many runs have begun.
        highest: natural logarithm of the highest capital so far.
        pending: what came since one of both arms was asked last; it is bet on as soon as both were.
    """

    margin: float
    side: Side
    log_capitals: tuple[tuple[float, ...], ...]
    running: int = 1
    highest: float = 0.0
    pending: Block = _NOTHING

    @classmethod
    def begun(cls, *, margin: float, side: Side = "above", runs: int = 1) -> "RateTest":
        """A test that has seen nothing, with room for so many runs.

        Raises:
            InputError: the margin is not from 0 to below 1, or one below it is to be shown and there is none.
        """
        least = 0.0 if side == "above" else 1e-6
        if not least <= margin < 1:
            raise InputError(
                f"a margin of {margin:g} between two failure rates",
                hint="0 to below 1; above 0 where it is to be shown that the arm is not worse",
            )
        places = len(alternatives(margin, side)[0])
        return cls(margin, side, ((0.0,) * places,) * runs)

    def after(self, block: Block) -> "RateTest":
        """The test after what came since the last look.

        Raises:
            InputError: there are more failures than requests, or fewer than none.
        """
        _refuse_odd_counts(block)
        came = Block(*(one + more for one, more in zip(self.pending, block, strict=True)))
        if not came.requests or not came.control_requests:
            return replace(self, pending=came)  # says nothing of a difference yet
        won = log_winnings(np.array([came], dtype=np.float64), self.margin, self.side)[0]
        rows = np.array(self.log_capitals)
        rows[: self.running] += won
        capitals = tuple(tuple(row) for row in rows.tolist())
        test = replace(self, log_capitals=capitals, pending=_NOTHING)
        return replace(test, highest=max(self.highest, test.log_capital))

    def with_new_run(self) -> "RateTest":
        """From here on the part that was put aside for the next run is bet as well; nothing where there is none."""
        return replace(self, running=min(self.running + 1, len(self.log_capitals)))

    @property
    def log_capital(self) -> float:
        """Natural logarithm of the capital now."""
        rows = np.array(self.log_capitals)
        means = _log_mean(rows)
        return float(np.logaddexp.reduce(means + np.log(run_shares(len(means)))))

    @property
    def p_value(self) -> float:
        """Valid at any moment, however often one has looked."""
        return float(np.exp(-self.highest))

    @property
    def p_now(self) -> float:
        """As valid, of the capital as it is now: it grows again where the suspicion has not held."""
        return float(np.exp(-max(0.0, self.log_capital)))


def run_shares(runs: int) -> Float[np.ndarray, " R"]:
    """How the capital is divided among runs: half of it for the first."""
    return np.array([1.0] if runs == 1 else [0.5] + [0.5 / (runs - 1)] * (runs - 1))


def alternatives(margin: float, side: Side) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """The grid that is bet on: failure rates of control and arm."""
    if side == "above":
        pairs = [(base, base + margin + excess) for base in BASE_RATES for excess in EXCESSES]
        pairs = [pair for pair in pairs if pair[1] < 0.99]
    else:
        pairs = [(base, base + share * margin) for base in BASE_RATES for share in SHARES_OF_MARGIN]
        pairs = [pair for pair in pairs if pair[0] + margin < 0.99]
    grid = np.array(pairs or [(1e-3, min(1e-3 + margin + 0.5 * (1 - margin), 0.9999))])
    return grid[:, 0], grid[:, 1]


def log_winnings(blocks: Float[np.ndarray, "B 4"], margin: float, side: Side) -> Float[np.ndarray, "B P"]:
    """By block (the numbers of `Block`) and place of the grid, the logarithm of what capital is multiplied by."""
    requests, failures, others, other_failures = (blocks[:, [number]] for number in range(4))
    control, arm = alternatives(margin, side)
    share = requests / np.maximum(requests + others, 1)
    near_control, near_arm = nearest_alike(control, arm, margin=margin, share=share)
    return (
        failures * np.log(arm / near_arm)
        + (requests - failures) * np.log((1 - arm) / (1 - near_arm))
        + other_failures * np.log(control / near_control)
        + (others - other_failures) * np.log((1 - control) / (1 - near_control))
    )


def nearest_alike(
    control: Float[np.ndarray, " P"], arm: Float[np.ndarray, " P"], *, margin: float, share: Float[np.ndarray, "B 1"]
) -> tuple[Float[np.ndarray, "B P"], Float[np.ndarray, "B P"]]:
    """Of all pairs of rates that are `margin` apart, the hardest to tell from an alternative (its KL projection).

    Args:
        control: rate of the control in the alternative.
        arm: rate of the arm in it.
        margin: arm minus control of what is looked for.
        share: the arm's part of all requests of a block.
    """
    low = np.clip(np.minimum(control, arm - margin), _LEAST, _MOST - margin) + 0 * share
    high = np.clip(np.maximum(control, arm - margin), _LEAST, _MOST - margin) + 0 * share
    # Newton's method, within what halving leaves; from near 0 it would take too many steps.
    base = np.clip(share * (arm - margin) + (1 - share) * control, high / 8, high)
    for _ in range(_MOST_STEPS):
        shifted = base + margin
        one, other = shifted * (1 - shifted), base * (1 - base)
        away, beside = shifted - arm, base - control
        slope = share * away / one + (1 - share) * beside / other
        low, high = np.where(slope < 0, base, low), np.where(slope < 0, high, base)
        bend = (
            share * (one - away * (1 - 2 * shifted)) / one**2
            + (1 - share) * (other - beside * (1 - 2 * base)) / other**2
        )
        moved = base - slope / bend
        moved = np.where((moved < low) | (moved > high), (low + high) / 2, moved)
        base, is_near = moved, (np.abs(moved - base) <= 1e-13 * base).all()
        if is_near:
            break
    return base, base + margin


def _log_mean(logs: Float[np.ndarray, "R P"]) -> Float[np.ndarray, " R"]:
    return np.logaddexp.reduce(logs, axis=1) - np.log(logs.shape[1])


def _refuse_odd_counts(block: Sequence[int]) -> None:
    requests, failures, others, other_failures = block
    if not (0 <= failures <= requests and 0 <= other_failures <= others):
        raise InputError(
            f"{failures} failures of {requests} requests, and {other_failures} of {others} of the control",
            hint="counts are 0 or more, failures at most as many as requests",
        )
