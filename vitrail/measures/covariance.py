"""Mean and covariance of rows that come in pieces, in float64, and the covariance shrunk as far as so few rows ask."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float

from vitrail.basics.errors import InputError

ROWS_AT_ONCE = 8192
"""Rows that are brought to float64 at a time."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What is kept of N rows of width D; pieces that were gathered apart are joined by `merged`.

    Sums of products of centred rows, never of raw ones: with a mean of 10⁴ and float32, E[xxᵀ] − μμᵀ is garbage.

    Attributes:
        count: N.
        mean: (D,); zeros where there is no row.
        scatter: (D, D), Σ (x − mean)(x − mean)ᵀ.
        third: (D,), Σ ‖x − mean‖² (x − mean).
        fourth: Σ ‖x − mean‖⁴; with `third`, it is what shrinkage needs and a covariance does not tell.
    """

    count: int
    mean: Float[np.ndarray, " D"]
    scatter: Float[np.ndarray, "D D"]
    third: Float[np.ndarray, " D"]
    fourth: float

    @classmethod
    def none(cls, width: int) -> "Moments":
        """Those of no row."""
        return cls(0, np.zeros(width), np.zeros((width, width)), np.zeros(width), 0.0)

    @classmethod
    def of(cls, rows: Float[np.ndarray, "N D"]) -> "Moments":
        """Those of some rows, in whatever floating-point numbers.

        Raises:
            InputError: a value is NaN or infinite.
        """
        pieces = (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))
        return reduce(Moments.merged, map(_of_piece, pieces), cls.none(rows.shape[1]))

    def merged(self, other: "Moments") -> "Moments":
        """Those of both; the order does not matter but for rounding.

        Source: T. F. Chan, G. H. Golub, R. J. LeVeque (1979), Updating formulae, STAN-CS-79-773, equation 2.1; the
        sums of third and fourth order follow the same way.
        """
        count = self.count + other.count
        if not self.count or not other.count:
            return self if self.count else other
        mean = (self.count * self.mean + other.count * other.mean) / count
        first, second = (each._about(each.mean - mean) for each in (self, other))
        return Moments(
            count, mean, first.scatter + second.scatter, first.third + second.third, first.fourth + second.fourth
        )

    def _about(self, step: Float[np.ndarray, " D"]) -> "Moments":
        """The sums about another centre, from which the mean is `step` away."""
        square, along = float(step @ step), self.scatter @ step
        spread = float(np.trace(self.scatter))
        third = self.third + spread * step + 2 * along + self.count * square * step
        fourth = (
            self.fourth
            + 4 * float(step @ along)
            + self.count * square**2
            + 4 * float(self.third @ step)
            + 2 * square * spread
        )
        return Moments(self.count, self.mean, self.scatter + self.count * np.outer(step, step), third, fourth)

    def covariance(self, *, lost: int = 1) -> Float[np.ndarray, "D D"]:
        """Scatter divided by N − `lost`.

        Raises:
            InputError: no more than `lost` rows.
        """
        if self.count <= lost:
            raise InputError(f"a covariance of {self.count} rows was asked for", hint="it takes two or more")
        return self.scatter / (self.count - lost)

    def shrunk(self) -> "ShrunkCovariance":
        """The covariance (divided by N), drawn towards a multiple of the identity as far as so few rows ask for.

        Source: O. Ledoit and M. Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices,
        J. Multivariate Anal. 88, p. 365, with the formulas of scikit-learn's `LedoitWolf`, which see all rows at once.

        >>> rows = np.array([[1, 2, 0], [3, 5, 1], [4, 4, 0], [6, 9, 3], [8, 7, 2], [2, 1, 5.0]])
        >>> round(Moments.of(rows).shrunk().shrinkage, 6)
        0.484367

        Raises:
            InputError: there is no row.
        """
        if not self.count:
            raise InputError("a covariance of no row was asked for")
        width = len(self.mean)
        plain = self.scatter / self.count
        scale = float(np.trace(plain)) / width
        squares = float(np.sum(plain**2))
        noise = (self.fourth / self.count - squares) / (width * self.count)
        distance = squares / width - scale**2
        noise = min(noise, distance)
        shrinkage = noise / distance if width > 1 and noise > 0 and distance > 0 else 0.0
        return ShrunkCovariance((1 - shrinkage) * plain + shrinkage * scale * np.eye(width), shrinkage)


@dataclass(frozen=True, eq=False)
class ShrunkCovariance:
    """A covariance, and how much of it is a multiple of the identity, 0-1."""

    matrix: Float[np.ndarray, "D D"]
    shrinkage: float

    def whitening(self) -> Float[np.ndarray, "D D"]:
        """A matrix W, with whose product rows of this covariance have the identity; widest direction first.

        Directions in which nothing varies (constant features that were hardly shrunk) count as a millionth of the
        widest one, so that a distance stays a number.

        Raises:
            InputError: nothing varies in any direction.
        """
        values, directions = np.linalg.eigh(self.matrix)
        if not values[-1] > 0:
            raise InputError(
                "all features are the same for every image; no distance can be told from that",
                hint="look at the images and at the model: it answers the same to everything",
            )
        widths = np.maximum(values, 1e-12 * values[-1]) ** 0.5
        # The sign of an eigenvector is the library's whim: fixed, so that the same images give the same bytes.
        signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(len(values))])
        return (directions * signs / widths)[:, ::-1]


def gathered_moments(pieces: Iterable[Float[np.ndarray, "_ D"]], *, width: int) -> Moments:
    """The moments of rows that come piece by piece; empty pieces and single rows are fine."""
    return reduce(Moments.merged, map(Moments.of, pieces), Moments.none(width))


def refuse_no_numbers(rows: Float[np.ndarray, "N D"] | Float[np.ndarray, "N"], *, thing: str) -> None:
    """Raise `InputError` where a value is NaN or infinite; the first such row is named."""
    fine = np.isfinite(rows) if rows.ndim == 1 else np.isfinite(rows).all(axis=1)
    if not fine.all():
        wrong = int((~fine).sum())
        raise InputError(
            f"{wrong:,} of {len(rows):,} {thing} are NaN or infinite, the first is row {int(fine.argmin())}",
            hint="leave these images out; an image that could not be read has no features",
        )


def _of_piece(rows: Float[np.ndarray, "N D"]) -> Moments:
    exact = rows.astype(np.float64)
    mean = exact.mean(axis=0)
    if not np.isfinite(mean).all():
        refuse_no_numbers(exact, thing="rows")
    exact -= mean
    squares = np.einsum("nd,nd->n", exact, exact)
    return Moments(len(exact), mean, exact.T @ exact, squares @ exact, float(squares @ squares))
