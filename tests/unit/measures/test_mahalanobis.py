"""Distances to classes: known distributions, invariance, an independent computation, and what is refused."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from vitrail.basics.errors import InputError
from vitrail.measures.conformal_p_values import conformal_threshold
from vitrail.measures.mahalanobis import fit_class_distances, mahalanobis_distance

RANDOM = np.random.default_rng(0)


def labelled(count: int, width: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % classes
    return RANDOM.standard_normal((count, width)) + 3 * labels[:, None], labels


def test_distances_are_those_of_scipy_to_the_nearest_class_mean_with_scikit_learns_covariance() -> None:
    """An independent computation. (pytorch-ood needs torchvision's data sets and is no dependency of the tests.)"""
    rows, labels = labelled(90, 6)
    new = RANDOM.standard_normal((20, 6)) * 3
    fitted = fit_class_distances(rows, labels)
    means = np.stack([rows[labels == each].mean(axis=0) for each in range(3)])
    shared = LedoitWolf(assume_centered=True).fit(rows - means[labels])
    overall = LedoitWolf().fit(rows)
    expected = [min(mahalanobis(row, mean, shared.precision_) for mean in means) for row in new]
    np.testing.assert_allclose(mahalanobis_distance(fitted, new), expected, rtol=1e-6)
    to_all = np.array([mahalanobis(row, rows.mean(axis=0), overall.precision_) for row in new])
    np.testing.assert_allclose(fitted.relative(new), np.square(expected) - to_all**2, rtol=1e-5, atol=1e-6)
    assert fitted.shrinkage == pytest.approx(shared.shrinkage_, rel=1e-6)
    assert fitted.overall_shrinkage == pytest.approx(overall.shrinkage_, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_without_shrinkage_distances_are_pytorch_oods_but_for_their_unit(seed: int) -> None:
    """Its formulas (of 2026), written out: scatter that is not divided, a ridge, half the squared distance."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, 300)
    rows, new = random.standard_normal((300, 7)) + 2 * labels[:, None], 4 * random.standard_normal((80, 7))
    means, ridge = np.stack([rows[labels == each].mean(axis=0) for each in range(4)]), 1e-6 * np.eye(7)
    within, around = rows - means[labels], rows - rows.mean(axis=0)
    precision, background = (np.linalg.inv(each.T @ each + ridge) for each in (within, around))
    by_class = np.stack([np.einsum("nd,de,ne->n", new - mean, precision, new - mean) for mean in means], axis=1)
    to_all = np.einsum("nd,de,ne->n", new - rows.mean(axis=0), background, new - rows.mean(axis=0))
    fitted = fit_class_distances(rows, labels, shrunk=False)
    nearest = by_class.min(axis=1)
    np.testing.assert_allclose(fitted.squared(new), 2 * (300 - 4) * (nearest / 2), rtol=1e-6)
    np.testing.assert_array_equal(fitted.squared(new).argsort(), nearest.argsort())
    np.testing.assert_allclose(fitted.relative(new), (300 - 4) * nearest - (300 - 1) * to_all, rtol=1e-5, atol=1e-6)


def test_with_endless_rows_squared_distances_are_chi_square() -> None:
    fitted = fit_class_distances(RANDOM.standard_normal((60_000, 5)), np.zeros(60_000, np.int64), shrunk=False)
    found = fitted.squared(RANDOM.standard_normal((4000, 5)))
    assert stats.kstest(found, stats.chi2(5).cdf).pvalue > 0.001


@pytest.mark.parametrize(("n", "expected"), [(100, 188.0), (200, 95.5), (1000, 68.5), (5000, 64.9)])
def test_held_out_distances_are_as_large_as_theory_says_and_an_in_sample_threshold_would_be_wrong(
    n: int, expected: float
) -> None:
    width, nothing = 64, np.zeros(n, np.int64)
    rows = RANDOM.standard_normal((n, width))
    fitted = fit_class_distances(rows, nothing, shrunk=False)
    fresh = fitted.squared(RANDOM.standard_normal((3000, width)))
    assert expected == pytest.approx(width * (n - 1) / (n - width - 2) * (1 + 1 / n), rel=0.01)
    assert fresh.mean() == pytest.approx(expected, rel=0.2 if n == 100 else 0.06)
    in_sample = (fresh > conformal_threshold(np.sort(fitted.squared(rows)))).mean()
    assert in_sample == pytest.approx({100: 0.998, 200: 0.769, 1000: 0.134, 5000: 0.065}[n], abs=0.04)


def test_distances_do_not_change_when_features_are_mixed_and_moved() -> None:
    rows, labels = labelled(200, 5)
    mixing, moved = RANDOM.standard_normal((5, 5)), RANDOM.standard_normal(5)
    new = RANDOM.standard_normal((30, 5))
    plain = fit_class_distances(rows, labels, shrunk=False).squared(new)
    mixed = fit_class_distances(rows @ mixing + moved, labels, shrunk=False).squared(new @ mixing + moved)
    np.testing.assert_allclose(plain, mixed, rtol=1e-6)


def test_shrinkage_tells_strangers_where_rows_are_few() -> None:
    width, n = 128, 140
    rows, same = RANDOM.standard_normal((n, width)), RANDOM.standard_normal((500, width))
    strangers = RANDOM.standard_normal((500, width)) + 5 / width**0.5
    right = np.repeat([0, 1], 500)

    def auc(*, shrunk: bool) -> float:
        fitted = fit_class_distances(rows, np.zeros(n, np.int64), shrunk=shrunk)
        return float(roc_auc_score(right, fitted.squared(np.concatenate([same, strangers]))))

    assert auc(shrunk=True) > 0.8 and auc(shrunk=False) < 0.7


def test_fewer_rows_than_features_half_precision_and_a_class_of_one_are_no_harm() -> None:
    rows = RANDOM.standard_normal((12, 50)).astype(np.float16)
    labels = np.array([0] * 6 + [1] * 5 + [2])
    found = fit_class_distances(rows, labels).squared(RANDOM.standard_normal((7, 50)).astype(np.float32))
    assert np.isfinite(found).all() and (found > 0).all()
    rows[:, 3] = 1
    assert np.isfinite(fit_class_distances(rows, labels).squared(rows)).all()


def test_a_distance_comes_out_the_same_alone_and_among_others() -> None:
    rows, labels = labelled(100, 8)
    fitted, new = fit_class_distances(rows, labels), RANDOM.standard_normal((9000, 8))
    np.testing.assert_allclose(fitted.squared(new)[[0, 2047, 2048]], fitted.squared(new[[0, 2047, 2048]]), rtol=1e-12)


def test_what_makes_no_sense_is_refused() -> None:
    rows, labels = labelled(30, 4)
    fitted = fit_class_distances(rows, labels)
    with pytest.raises(InputError, match="rows have 3 features, 4 were expected"):
        fitted.squared(rows[:, :3])
    wrong = rows.copy()
    wrong[2] = np.inf
    with pytest.raises(InputError, match="1 of 30 rows of features are NaN or infinite, the first is row 2"):
        fitted.squared(wrong)
    with pytest.raises(InputError, match="NaN or infinite"):
        fit_class_distances(wrong, labels)
    with pytest.raises(InputError, match="class number 1 has no row"):
        fit_class_distances(rows, np.where(labels == 1, 0, labels))
