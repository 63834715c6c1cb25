"""In a model process: whether the images that come are like those that the model knows, tested all the time."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from vitrail.measures.mahalanobis import mahalanobis_distance
from vitrail.measures.stream_test import StreamTest
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.prediction.answers import UNLIKE, Answers

TELL_EVERY_SECONDS = 2.0


class ShiftWatch:
    """The stream test of the package's reference, fed with every image that is answered.

    It may be looked at at any moment: of streams of images like the known ones one in twenty is ever called changed
    (`measures.stream_test`). Images that come again count again: in a service nobody knows that they are the same.

    Args:
        reference: of the package; None: nothing is said.
        tell: receives the state, every two seconds at most.
    """

    def __init__(self, reference: ShiftReference | None, *, tell: Callable[[dict[str, Any]], None]) -> None:
        self._reference, self._tell = reference, tell
        self._test = None if reference is None else StreamTest.begun(reference.scores)
        self._unlike, self._told = 0, 0.0

    def take(self, answers: Answers) -> None:
        """More images that were answered."""
        if self._reference is None or self._test is None:
            return
        distances = mahalanobis_distance(self._reference.distances, answers.features)
        self._test = self._test.after(distances)
        if answers.likeness is not None:
            self._unlike += int(np.count_nonzero(answers.likeness <= UNLIKE))
        if time.monotonic() - self._told >= TELL_EVERY_SECONDS:
            self._told = time.monotonic()
            self._tell({"kind": "shift", **self.state()})

    def state(self) -> dict[str, Any]:
        """Images seen, how many were unlike, the p-value of "nothing has changed", and whether it is an alarm."""
        test = self._test
        if test is None:
            return {"seen": 0}
        return {"seen": test.seen, "unlike": self._unlike, "p_value": test.p_value, "changed": test.alarm()}
