import numpy as np
import pytest

from vitrail.measures.conformal_sets import conformal_members, conformal_quantile, conformal_sets


@pytest.mark.parametrize(("n", "expected"), [(19, 0.9000), (50, 0.9020), (100, 0.9010)])
def test_the_quantile_covers_exactly_as_often_as_its_rank_says(n: int, expected: float) -> None:
    random = np.random.default_rng(n)
    covered = []
    for _ in range(4000):
        true = random.random(n + 200)
        probabilities = np.stack([true, 1 - true], axis=1)
        quantile = conformal_quantile(np.zeros(n, int), probabilities[:n], level=0.9)
        covered.append(np.mean(1 - true[n:] <= quantile))
    assert np.mean(covered) == pytest.approx(expected, abs=0.005)


def test_too_few_images_leave_no_class_out() -> None:
    labels, probabilities = np.zeros(8, int), np.tile([0.7, 0.2, 0.1], (8, 1))
    assert conformal_quantile(labels, probabilities, level=0.9) == np.inf
    assert conformal_members(probabilities, np.inf).all()
    found = conformal_sets(labels, probabilities, classes=list("abc"))
    assert (found.coverage.value, found.size.value, found.least_probability) == (1, 3, 0)


def test_the_rank_is_not_interpolated() -> None:
    # Rank ⌈11 · 0.9⌉ = 10 of ten: torch-uncertainty interpolates and leaves class 2 out, which covers too little.
    labels, probabilities = np.array([0, 2, *[1] * 8]), np.tile([0.6, 0.3, 0.1], (10, 1))
    quantile = conformal_quantile(labels, probabilities, level=0.9)
    assert quantile == pytest.approx(0.9)
    assert conformal_members(probabilities, quantile)[0].tolist() == [True, True, True]
    assert conformal_members(probabilities, 0.72)[0].tolist() == [True, True, False]


def test_the_most_probable_class_is_always_in_the_set() -> None:
    assert conformal_members(np.array([[0.4, 0.35, 0.25]]), 0.1).tolist() == [[True, False, False]]


def drawn(seed: int, n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(4), n)
    labels = (probabilities.cumsum(1) > random.random((n, 1))).argmax(1)
    return labels, probabilities


def test_sets_of_images_that_had_no_part_in_them_hold_the_truth_as_often_as_was_asked_for() -> None:
    found = [conformal_sets(*drawn(seed), classes=list("abcd"), seed=seed) for seed in range(60)]
    assert np.mean([each.coverage.value for each in found]) == pytest.approx(0.905, abs=0.015)
    assert all(each.folds == 5 for each in found)
    first = found[0]
    assert 1 < first.size.value < 4 and sum(each.n for each in first.per_class) == 150


def test_images_of_one_group_never_calibrate_each_other() -> None:
    # Every group has a class of its own, always answered with 1 %: other groups' images know nothing of it.
    labels = np.repeat(np.arange(5), 20)
    probabilities = np.full((100, 5), 0.2475)
    probabilities[np.arange(100), labels] = 0.01
    probabilities[labels == 0] = np.eye(5)[0]
    found = conformal_sets(labels, probabilities, classes=list("abcde"), groups=labels)
    assert found.per_class[0].value == 1 and found.coverage.method is not None


def test_one_group_or_one_image_cannot_be_judged() -> None:
    labels, probabilities = drawn(0, 10)
    found = conformal_sets(labels, probabilities, classes=list("abcd"), groups=np.zeros(10, int))
    assert (found.coverage.value, found.coverage.undefined_because) == (None, "all these images belong to one group")
    assert conformal_sets(labels[:1], probabilities[:1], classes=list("abcd")).size.value is None
