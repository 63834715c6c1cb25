"""Moments that come in pieces are those of all rows; shrinkage is Ledoit and Wolf's, streamed or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from vitrail.basics.errors import InputError
from vitrail.measures.covariance import Moments, gathered_moments

TRUST_ROWS = np.array([[1, 2, 0], [3, 5, 1], [4, 4, 0], [6, 9, 3], [8, 7, 2], [2, 1, 5.0]])


def rows_of(count: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((count, width)) @ random.standard_normal((width, width)) + 100


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=12), width=st.integers(1, 5), seed=st.integers(0, 5))
def test_however_rows_are_cut_their_covariance_is_numpys_also_with_single_rows_and_empty_pieces(
    cuts: list[int], width: int, seed: int
) -> None:
    rows = rows_of(60, width, seed)
    moments = gathered_moments(np.split(rows, sorted(cuts)), width=width)
    assert moments.count == 60
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance(), np.cov(rows.T).reshape(width, width), rtol=1e-9, atol=1e-9)
    centred = rows - rows.mean(axis=0)
    squares = (centred**2).sum(axis=1)
    np.testing.assert_allclose(moments.fourth, (squares**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(moments.third, squares @ centred, rtol=1e-7, atol=1e-6 * abs(squares @ centred).max())


def test_the_order_of_pieces_does_not_matter() -> None:
    pieces = np.split(rows_of(300, 6), [1, 2, 50, 51, 250])
    forwards, backwards = gathered_moments(pieces, width=6), gathered_moments(pieces[::-1], width=6)
    np.testing.assert_allclose(forwards.scatter, backwards.scatter, rtol=1e-12)
    np.testing.assert_allclose(forwards.mean, backwards.mean, rtol=1e-12)


def test_a_large_mean_in_float32_costs_no_digit() -> None:
    rows = (np.random.default_rng(0).standard_normal((5000, 3)) + 1e4).astype(np.float32)
    exact = np.cov(rows.astype(np.float64).T)
    np.testing.assert_allclose(Moments.of(rows).covariance(), exact, rtol=1e-12, atol=1e-12)


def test_shrinkage_is_that_of_the_known_answer() -> None:
    shrunk = Moments.of(TRUST_ROWS).shrunk()
    assert shrunk.shrinkage == pytest.approx(0.48436694, abs=1e-8)
    expected = [[5.563514, 2.835982, 0.257817], [2.835982, 6.537488, -0.028646], [0.257817, -0.028646, 4.260109]]
    np.testing.assert_allclose(shrunk.matrix, expected, atol=1e-6)


@pytest.mark.parametrize(("count", "width"), [(6, 3), (5, 40), (400, 40), (50, 1), (2, 2)])
def test_shrinkage_is_scikit_learns_also_with_fewer_rows_than_features_and_when_rows_come_in_pieces(
    count: int, width: int
) -> None:
    rows = rows_of(count, width, seed=count)
    reference = LedoitWolf().fit(rows)
    for pieces in ([rows], np.split(rows, [1, count // 2])):
        shrunk = gathered_moments(pieces, width=width).shrunk()
        assert shrunk.shrinkage == pytest.approx(reference.shrinkage_, rel=1e-6, abs=1e-9)
        np.testing.assert_allclose(shrunk.matrix, reference.covariance_, rtol=1e-6, atol=1e-9)


def test_whitened_rows_have_the_identity_as_covariance_and_the_widest_direction_comes_first() -> None:
    moments = Moments.of(rows_of(500, 8))
    shrunk = moments.shrunk()
    whitening = shrunk.whitening()
    np.testing.assert_allclose(whitening.T @ shrunk.matrix @ whitening, np.eye(8), atol=1e-8)
    assert (np.diff(np.linalg.norm(whitening, axis=0)) > 0).all()


def test_constant_features_leave_distances_finite_and_only_constant_ones_are_refused() -> None:
    rows = rows_of(50, 4)
    rows[:, 2] = 7
    assert np.isfinite(Moments.of(rows).shrunk().whitening()).all()
    with pytest.raises(InputError, match=r"all features are the same for every image.*\nhint: look at the images"):
        Moments.of(np.ones((20, 4))).shrunk().whitening()


def test_what_is_no_number_is_refused_with_its_row() -> None:
    rows = rows_of(20, 3)
    rows[4, 1] = np.nan
    with pytest.raises(InputError, match=r"1 of 20 rows are NaN or infinite, the first is row 4\nhint: leave"):
        Moments.of(rows)
    with pytest.raises(InputError, match="a covariance of 1 rows was asked for"):
        Moments.of(rows[:1]).covariance()
    with pytest.raises(InputError, match="a covariance of no row"):
        Moments.none(3).shrunk()
