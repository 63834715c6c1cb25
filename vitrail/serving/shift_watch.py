"""In a model process: whether the images that come are like those that the model knows, tested all the time."""

import contextlib
import time
from collections.abc import Callable, Sequence
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
        tell: receives the state; see `tell_for_ever`.
    """

    def __init__(self, reference: ShiftReference | None, *, tell: Callable[[dict[str, Any]], None]) -> None:
        self._reference, self._tell = reference, tell
        self._test = None if reference is None else StreamTest.begun(reference.scores)
        self._unlike = 0

    def take(self, answers: Answers, rows: Sequence[int]) -> None:
        """More images that were answered; those of other rows have no part in it."""
        if self._reference is None or self._test is None or not rows:
            return
        some = list(rows)
        distances = mahalanobis_distance(self._reference.distances, answers.features[some])
        self._test = self._test.after(distances)
        if answers.likeness is not None:
            self._unlike += int(np.count_nonzero(answers.likeness[some] <= UNLIKE))

    def tell_for_ever(self) -> None:
        """Every two seconds, where there is something new; until the front is gone."""
        told = None
        with contextlib.suppress(OSError):
            while True:
                time.sleep(TELL_EVERY_SECONDS)
                state = self.state()
                if state["seen"] and state != told:
                    self._tell({"kind": "shift", **state})
                    told = state

    def state(self) -> dict[str, Any]:
        """Images seen, how many were unlike, the p-value of "nothing has changed", and whether it is an alarm."""
        test = self._test
        if test is None:
            return {"seen": 0}
        return {"seen": test.seen, "unlike": self._unlike, "p_value": test.p_value, "changed": test.alarm()}
