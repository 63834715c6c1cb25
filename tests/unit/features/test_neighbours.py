import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from vitrail.features.neighbours import Neighbours, fit_neighbours


def data(count: int = 300, classes: int = 3, seed: int = 0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    features = generator.normal(size=(classes, 8))[labels] + generator.normal(size=(count, 8))
    return features.astype(np.float32), labels


@pytest.mark.parametrize("k", [1, 3, 5])
def test_predictions_are_those_of_scikit_learn_with_cosine_distance(k):
    features, labels = data(classes=2)
    queries, _ = data(count=100, classes=2, seed=1)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    reference = KNeighborsClassifier(k, metric="cosine").fit(features, labels)
    assert (Neighbours(unit, labels, k).predict(queries) == reference.predict(queries)).all()


def test_one_neighbour_knows_separable_classes_and_nothing_of_labels_that_were_shuffled():
    random = np.random.default_rng(2)
    labels = np.arange(1200) % 4
    features = (5 * np.eye(4, 8)[labels] + random.normal(size=(1200, 8))).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    clear = Neighbours(features[:600], labels[:600], 1).predict(features[600:])
    assert (clear == labels[600:]).all()
    shuffled = Neighbours(features[:600], random.permutation(labels[:600]), 1).predict(features[600:])
    assert np.mean(shuffled == labels[600:]) == pytest.approx(1 / 4, abs=0.06)


def test_the_number_of_neighbours_is_chosen_by_leaving_one_out():
    features, labels = data(count=200)
    chosen = fit_neighbours(features, labels, choices=(1, 15))
    scores = {}
    for k in (1, 15):
        model = KNeighborsClassifier(k, metric="cosine")
        hits = [
            model.fit(np.delete(features, i, 0), np.delete(labels, i)).predict(features[i : i + 1])[0] == labels[i]
            for i in range(len(labels))
        ]
        scores[k] = np.mean(hits)
    assert scores[15] > scores[1]
    assert chosen.k == 15


def test_an_image_is_not_its_own_neighbour():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(50, 8)).astype(np.float32)
    chosen = fit_neighbours(features, np.arange(50) % 2, choices=(1, 5, 20))
    assert chosen.k in (1, 5, 20)
    pairs = np.repeat(features[:10], 2, axis=0)
    assert fit_neighbours(pairs, np.repeat(np.arange(10), 2), choices=(1, 3)).k == 1


def test_two_images_are_enough():
    assert fit_neighbours(np.eye(2, dtype=np.float32), np.array([0, 1])).predict(np.eye(2)).tolist() == [0, 1]
