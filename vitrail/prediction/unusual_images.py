"""The most unusual of many images, kept while answers come: a fixed number, however many there are."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from vitrail.prediction.answers import Answers, Prediction


@dataclass(frozen=True)
class UnusualImage:
    """One of them.

    Attributes:
        row: its number among the images that were given.
        distance: Mahalanobis distance to the nearest class.
        prediction: what was answered, with its likeness.
    """

    row: int
    distance: float
    prediction: Prediction


@dataclass(eq=False)
class UnusualImages:
    """Keeps the `most` farthest images.

    Attributes:
        found: the farthest first.
    """

    most: int
    found: list[UnusualImage] = field(default_factory=list)

    def add(self, answers: Answers, distances: Float[np.ndarray, "_"], *, first_row: int) -> None:
        """Look through more answers; `distances` are NaN where an image could not be read."""
        order = np.argsort(-np.nan_to_num(distances, nan=-1.0), kind="stable")[: self.most]
        for place in order.tolist():
            answer = answers[place]
            if isinstance(answer, Prediction):
                self.found.append(UnusualImage(first_row + place, float(distances[place]), answer))
        self.found.sort(key=lambda each: (-each.distance, each.row))
        del self.found[self.most :]
