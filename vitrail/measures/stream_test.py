"""A test that may be looked at after every row: a capital that grows only by chance while nothing changes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vitrail.measures.covariance import refuse_no_numbers

CELLS = 8192
"""Scores are told apart to 0.27 %, from 2⁻⁸ to 2²⁴; all that lies in one cell is a tie."""
JUMPS = (0.001, 0.01, 0.1)
"""How often the bettor changes its mind; the capital is divided among these."""
_BETS = np.array([-1.0, 0.0, 1.0])
_LARGEST = 1e100


@dataclass(frozen=True, eq=False)
class StreamTest:
    """A simple jumper martingale on conformal p-values, mixed over three rates of jumping.

    Every score is ranked among all that came before it, held-out ones first, ties broken by lot. If all of them come
    from one source, these ranks are independent and uniform, although the held-out scores are few: for that reason
    the bag grows. (Ranked among the held-out scores alone, every stream would in the end show how those few differ
    from the truth.) Whatever the moment somebody looks at, the capital has reached 1/α with probability α at most.

    Source: V. Vovk et al. (2021), Retrain or not retrain: conformal test martingales for change-point detection,
    algorithm 1; Ville's inequality.

    Attributes:
        counts: (CELLS,), scores seen by cell, held-out ones among them.
        capital: (J, 3), of each rate and bet, divided by e^`scale`.
        scale: (J,).
        seen: scores of the stream.
        highest: natural logarithm of the highest capital so far.
        highest_at: after how many scores it was reached.
        seed: of the lots.
    """

    counts: Int[np.ndarray, "_"]
    capital: Float[np.ndarray, "J 3"]
    scale: Float[np.ndarray, " J"]
    seen: int = 0
    highest: float = 0.0
    highest_at: int = 0
    seed: int = 0

    @classmethod
    def begun(cls, held_out: Float[np.ndarray, "N"], *, seed: int = 0) -> "StreamTest":
        """A test that has seen held-out scores only; its capital is 1.

        Raises:
            InputError: a score is NaN or infinite.
        """
        counts = np.bincount(_cells(held_out), minlength=CELLS)
        return cls(counts, np.full((len(JUMPS), 3), 1 / 3), np.zeros(len(JUMPS)), seed=seed)

    def after(self, scores: Float[np.ndarray, "M"]) -> "StreamTest":
        """The test after more scores, in the order in which they came; each image once.

        Raises:
            InputError: a score is NaN or infinite.
        """
        counts, capital, scale = self.counts.copy(), self.capital.copy(), self.scale.copy()
        highest, highest_at = self.highest, self.highest_at
        total = int(counts.sum())
        jumps = np.array(JUMPS)[:, None]
        for number, cell in enumerate(_cells(scores), start=self.seen + 1):
            lot = np.random.Generator(np.random.PCG64([self.seed, number])).random()
            counts[cell] += 1
            total += 1
            p_value = (int(counts[cell + 1 :].sum()) + lot * int(counts[cell])) / total
            capital = (1 - jumps) * capital + jumps / 3 * capital.sum(axis=1, keepdims=True)
            capital *= 1 + _BETS * (p_value - 0.5)
            sums = capital.sum(axis=1, keepdims=True)
            if sums.max() > _LARGEST or sums.min() < 1 / _LARGEST:
                capital, scale = capital / sums, scale + np.log(sums[:, 0])
            now = _log_mean(capital, scale)
            if now > highest:
                highest, highest_at = now, number
        return replace(
            self, counts=counts, capital=capital, scale=scale, seen=self.seen + len(scores), highest=highest,
            highest_at=highest_at,
        )  # fmt: skip

    @property
    def log_capital(self) -> float:
        """Natural logarithm of the capital now."""
        return _log_mean(self.capital, self.scale)

    @property
    def p_value(self) -> float:
        """One divided by the highest capital so far: valid at any moment, however often one has looked."""
        return float(np.exp(-self.highest))

    def alarm(self, *, alpha: float = 0.05) -> bool:
        """Whether the capital has ever reached 1/α."""
        return bool(self.highest >= -np.log(alpha))

    def as_json(self) -> dict[str, Any]:
        """Plain values, of a size that does not grow with the stream."""
        there = np.flatnonzero(self.counts)
        return {
            "cells": there.tolist(), "counts": self.counts[there].tolist(), "capital": self.capital.tolist(),
            "scale": self.scale.tolist(), "seen": self.seen, "highest": self.highest, "highest_at": self.highest_at,
            "seed": self.seed,
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: Any) -> "StreamTest":
        """The test that `as_json` wrote.

        Raises:
            ValueError: it makes no sense; in words.
        """
        try:
            counts = np.zeros(CELLS, dtype=np.int64)
            counts[np.array(values["cells"], dtype=np.int64)] = np.array(values["counts"], dtype=np.int64)
            capital, scale = np.array(values["capital"], dtype=np.float64), np.array(values["scale"], dtype=np.float64)
            numbers = {name: int(values[name]) for name in ("seen", "highest_at", "seed")}
            highest = float(values["highest"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"a member is missing or no number: {error}") from None
        fine = capital.shape == (len(JUMPS), 3) and scale.shape == (len(JUMPS),) and (counts >= 0).all()
        if not (fine and (capital >= 0).all() and np.isfinite(capital).all() and np.isfinite([*scale, highest]).all()):
            raise ValueError("capital or counts are not as expected")
        return cls(counts, capital, scale, highest=highest, **numbers)


def _cells(scores: Float[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    refuse_no_numbers(scores, thing="scores")
    # The grid depends on no score, so that ranks stay exact; what is negative or tiny is a tie.
    return np.clip(256 * (np.log2(np.maximum(scores, 2.0**-8)) + 8), 0, CELLS - 1).astype(np.int64)


def _log_mean(capital: Float[np.ndarray, "J 3"], scale: Float[np.ndarray, " J"]) -> float:
    logs = np.log(np.maximum(capital.sum(axis=1), 1e-300)) + scale
    largest = float(logs.max())
    return largest + float(np.log(np.exp(logs - largest).mean()))
