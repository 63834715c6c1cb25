"""How far rows lie from classes of rows: one mean for each class, one covariance for all of them.

Source: K. Lee et al. (2018), A simple unified framework for detecting out-of-distribution samples, section 2.1;
relative distances from J. Ren et al. (2021), A simple fix to Mahalanobis distance, equation 3. pytorch-ood's
`Mahalanobis` and `RMD` have no shrinkage but a ridge of 10⁻⁶, and in 0.4.0 sums instead of covariances: without
shrinkage these are the same distances in another unit.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vitrail.basics.errors import InputError
from vitrail.measures.covariance import ROWS_AT_ONCE, ShrunkCovariance, refuse_no_numbers, shrunk_covariance


@dataclass(frozen=True, eq=False)
class ClassDistances:
    """Classes with means of their own and a covariance that they share, and all rows as one cloud beside them.

    Attributes:
        centre: (D,), the mean of all rows.
        means: (K, D), of the classes.
        shared: (D, D), whitens rows about their class means.
        overall: (D, D), whitens rows about the centre.
        shrinkage: of the shared covariance, 0-1.
        overall_shrinkage: of the overall covariance.
    """

    centre: Float[np.ndarray, " D"]
    means: Float[np.ndarray, "K D"]
    shared: Float[np.ndarray, "D D"]
    overall: Float[np.ndarray, "D D"]
    shrinkage: float = 0.0
    overall_shrinkage: float = 0.0

    def squared(self, rows: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N"]:
        """Squared Mahalanobis distance to the nearest class mean; for endless training rows, χ² with D degrees.

        Raises:
            InputError: a value is NaN or infinite, or rows have another width.
        """
        return self._distances(rows, relative=False)

    def relative(self, rows: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N"]:
        """The squared distance to the nearest class less that to the centre of all rows; may be negative.

        It forgives what is rare in every class alike, and so sees classes that are nearly known; a shift of whole
        images (a sketch, another scanner), in which both distances grow, it may miss.
        """
        return self._distances(rows, relative=True)

    def _distances(self, rows: Float[np.ndarray, "N D"], *, relative: bool) -> Float[np.ndarray, "N"]:
        if rows.shape[1] != len(self.centre):
            raise InputError(f"rows have {rows.shape[1]} features, {len(self.centre)} were expected")
        # In float64 whatever precision the matrices are kept in.
        shared, means = self.shared.astype(np.float64, copy=False), (self.means - self.centre).astype(np.float64)
        whitened_means = means @ shared
        lengths = np.einsum("kd,kd->k", whitened_means, whitened_means)
        overall = self.overall.astype(np.float64, copy=False) if relative else None
        found = np.empty(len(rows))
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number is refused below, by its row
            for start in range(0, len(rows), ROWS_AT_ONCE):
                piece = rows[start : start + ROWS_AT_ONCE] - self.centre.astype(np.float64)
                whitened = piece @ shared
                nearest = (lengths - 2 * (whitened @ whitened_means.T)).min(axis=1)
                distances = np.maximum(np.einsum("nd,nd->n", whitened, whitened) + nearest, 0)
                if overall is not None:
                    apart = piece @ overall
                    distances -= np.einsum("nd,nd->n", apart, apart)
                found[start : start + ROWS_AT_ONCE] = distances
        refuse_no_numbers(found, thing="rows of features")
        return found


def mahalanobis_distance(distances: ClassDistances, rows: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N"]:
    """The distance of every row to the nearest class, in standard deviations of rows about their class.

    Raises:
        InputError: see `ClassDistances.squared`.
    """
    return np.sqrt(distances.squared(rows))


def fit_class_distances(
    rows: Float[np.ndarray, "N D"], labels: Int[np.ndarray, "N"], *, shrunk: bool = True
) -> ClassDistances:
    """Means and covariances of labelled rows.

    Fewer rows than features are fine where covariances are shrunk, and constant features, too.

    Args:
        rows: in whatever floating-point numbers; computed in float64, piece by piece.
        labels: class numbers from 0 without gaps.
        shrunk: as far as Ledoit and Wolf find right; False: as the rows are, divided by N − K and N − 1.

    Raises:
        InputError: a value is NaN or infinite, lengths differ, a class has no row, nothing varies, or there are too few
            rows for covariances that are not shrunk.
    """
    if len(rows) != len(labels) or not len(rows):
        raise InputError(f"{len(rows)} rows and {len(labels)} labels were given, one label per row was expected")
    counts = np.bincount(labels)
    if not counts.all():
        raise InputError(f"class number {int(counts.argmin())} has no row", hint="number the classes without gaps")
    means = _class_means(rows, labels, counts)
    found = _scatters(rows, labels, means, counts)
    if shrunk:
        shared, whole = (shrunk_covariance(len(rows), *each) for each in (found.within, found.overall))
    else:
        lost = (len(counts), 1)
        if len(rows) <= max(lost):
            raise InputError(f"{len(rows)} rows are too few for covariances that are not shrunk")
        shared, whole = (
            ShrunkCovariance(scatter / (len(rows) - each), 0.0)
            for (scatter, _), each in zip((found.within, found.overall), lost, strict=True)
        )
    return ClassDistances(
        found.centre, means, shared.whitening(), whole.whitening(), shared.shrinkage, whole.shrinkage
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Scatters:
    """The centre of all rows; about class means and about the centre Σ r rᵀ and Σ ‖r‖⁴."""

    centre: Float[np.ndarray, " D"]
    within: tuple[Float[np.ndarray, "D D"], float]
    overall: tuple[Float[np.ndarray, "D D"], float]


def _scatters(
    rows: Float[np.ndarray, "N D"],
    labels: Int[np.ndarray, "N"],
    means: Float[np.ndarray, "K D"],
    counts: Int[np.ndarray, "K"],
) -> _Scatters:
    """One product of the rows serves both: what lies between classes is added to what lies within them."""
    centre = counts @ means / len(rows)
    apart = means - centre
    lengths = np.einsum("kd,kd->k", apart, apart)
    scatter, fourth, overall_fourth = np.zeros((rows.shape[1],) * 2), 0.0, 0.0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        own = labels[start : start + ROWS_AT_ONCE]
        piece = rows[start : start + ROWS_AT_ONCE] - means[own]
        scatter += piece.T @ piece
        squares = np.einsum("nd,nd->n", piece, piece)
        fourth += float(squares @ squares)
        squares += 2 * np.einsum("nd,nd->n", piece, apart[own]) + lengths[own]
        overall_fourth += float(squares @ squares)
    between = (apart * counts[:, None]).T @ apart
    return _Scatters(centre, (scatter, fourth), (scatter + between, overall_fourth))


def _class_means(
    rows: Float[np.ndarray, "N D"], labels: Int[np.ndarray, "N"], counts: Int[np.ndarray, "K"]
) -> Float[np.ndarray, "K D"]:
    sums = np.zeros((len(counts), rows.shape[1]))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        belongs = labels[piece, None] == np.arange(len(counts))
        with np.errstate(invalid="ignore", over="ignore"):
            sums += belongs.T.astype(np.float64) @ rows[piece]
    if not np.isfinite(sums).all():
        refuse_no_numbers(rows, thing="rows of features")
    return sums / counts[:, None]
