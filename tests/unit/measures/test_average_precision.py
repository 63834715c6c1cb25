import numpy as np
import pytest
import sklearn.metrics

from vitrail.measures.average_precision import _influence, average_precision


def drawn(n: int, k: int, *, seed: int, decimals: int = 9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, k, n)
    probabilities = random.dirichlet(np.ones(k), n)
    probabilities[np.arange(n), labels] += 0.3
    return labels, np.round(probabilities / probabilities.sum(1, keepdims=True), decimals)


@pytest.mark.parametrize("decimals", [9, 1])
def test_two_classes_have_scikit_learns_average_precision_of_the_second_also_with_ties(decimals: int) -> None:
    for seed in range(20):
        labels, probabilities = drawn(40, 2, seed=seed, decimals=decimals)
        measure = average_precision(labels, probabilities, classes=["a", "b"])
        expected = sklearn.metrics.average_precision_score(labels == 1, probabilities[:, 1])
        assert measure.value == pytest.approx(expected)
        assert measure.low <= measure.value <= measure.high


def test_many_classes_have_the_mean_over_those_that_occur() -> None:
    labels, probabilities = drawn(60, 4, seed=1)
    labels[labels == 3] = 2
    expected = [sklearn.metrics.average_precision_score(labels == k, probabilities[:, k]) for k in range(3)]
    measure = average_precision(labels, probabilities, classes=list("abcd"))
    assert measure.value == pytest.approx(np.mean(expected))


def test_what_an_image_changes_is_the_derivative_by_its_weight() -> None:
    labels, probabilities = drawn(30, 2, seed=3, decimals=1)
    positive, scores = labels == 1, probabilities[:, 1]
    _, influence = _influence(positive, scores)
    for image in range(30):
        up, down = np.ones(30), np.ones(30)
        up[image], down[image] = 1 + 1e-5, 1 - 1e-5
        change = np.subtract(
            *(sklearn.metrics.average_precision_score(positive, scores, sample_weight=each) for each in (up, down))
        )
        assert influence[image] == pytest.approx(30 * change / 2e-5, abs=1e-4)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    def of(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(seed)
        labels = (random.random(n) < 0.3).astype(int)
        scores = 1 / (1 + np.exp(-random.normal(labels, 1)))
        return labels, np.stack([1 - scores, scores], axis=1)

    labels, probabilities = of(200_000, 0)
    truth = sklearn.metrics.average_precision_score(labels, probabilities[:, 1])
    measures = [average_precision(*of(300, seed), classes=["a", "b"], seed=seed) for seed in range(1, 101)]
    assert 0.88 <= np.mean([each.low <= truth <= each.high for each in measures]) <= 1


def test_a_perfect_ranking_is_not_certain() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    measure = average_precision(labels, np.eye(2)[labels], classes=["a", "b"])
    assert (measure.value, measure.high, measure.method) == (1, 1, "Wilson")
    assert measure.low == pytest.approx(0.438503, abs=1e-6)  # of 3 in 3


def test_without_images_of_the_class_it_is_undefined() -> None:
    measure = average_precision(np.zeros(3, int), np.full((3, 2), 0.5), classes=["well", "ill"])
    assert (measure.value, measure.undefined_because) == (None, "no image of class 'ill'")
    assert average_precision(np.zeros(0, int), np.zeros((0, 2)), classes=["a", "b"]).value is None
