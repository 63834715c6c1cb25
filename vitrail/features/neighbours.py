"""k-nearest neighbours on features: the plainest classifier, and a baseline for every other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Neighbours:
    """A fitted k-nearest-neighbour classifier by cosine similarity; ties go to the nearer neighbours.

    Attributes:
        features: (N, D) of the training images, each of length one.
        labels: (N,) class numbers.
        k: the number of neighbours that vote.
    """

    features: Float[np.ndarray, "N D"]
    labels: Int[np.ndarray, "N"]
    k: int

    def predict(self, features: Float[np.ndarray, "M D"]) -> Int[np.ndarray, "M"]:
        """Class numbers of the given images."""
        nearest, similarity = _nearest(_unit(features), self.features, self.k)
        return _vote(self.labels[nearest], similarity, int(self.labels.max()) + 1)


def fit_neighbours(
    features: Float[np.ndarray, "N D"],
    labels: Int[np.ndarray, "N"],
    *,
    choices: tuple[int, ...] = (1, 3, 5, 10, 20),
    most_queries: int = 2000,
    seed: int = 0,
) -> Neighbours:
    """Store the training images and choose k by leave-one-out accuracy among them (ties: the smaller k).

    Args:
        choices: values of k that are tried.
        most_queries: the choice is made on at most so many of the images.
        seed: of their selection.
    """
    unit = _unit(features)
    choices = tuple(k for k in choices if k < len(labels)) or (1,)
    queries = np.arange(len(labels))
    if len(queries) > most_queries:
        queries = np.sort(np.random.default_rng(seed).choice(queries, most_queries, replace=False))
    nearest, similarity = _nearest(unit[queries], unit, max(choices), exclude=queries)
    classes = int(labels.max()) + 1
    hits = [
        float(np.mean(_vote(labels[nearest[:, :k]], similarity[:, :k], classes) == labels[queries])) for k in choices
    ]
    return Neighbours(unit, labels, choices[int(np.argmax(hits))])


def _unit(features: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(length, 1e-12)).astype(np.float32)


def _nearest(
    queries: np.ndarray, stored: np.ndarray, k: int, *, exclude: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (M, k) and similarities (M, k), the nearest first; in pieces, so that memory stays bounded."""
    k = min(k, len(stored) - (exclude is not None))
    indices, similarities = [], []
    for start in range(0, len(queries), _ROWS_AT_ONCE):
        similarity = queries[start : start + _ROWS_AT_ONCE] @ stored.T
        if exclude is not None:
            similarity[np.arange(len(similarity)), exclude[start : start + _ROWS_AT_ONCE]] = -np.inf
        best = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(similarity, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        indices.append(best)
        similarities.append(np.take_along_axis(similarity, best, axis=1))
    return np.concatenate(indices), np.concatenate(similarities)


def _vote(labels: np.ndarray, similarity: np.ndarray, classes: int) -> np.ndarray:
    """The class with most neighbours; among equals the one whose neighbours are nearer in sum."""
    votes = np.zeros((len(labels), classes))
    rows = np.arange(len(labels))[:, None]
    np.add.at(votes, (rows, labels), 1.0 + 1e-4 * np.clip(similarity, -1, 1))
    return votes.argmax(axis=1)
