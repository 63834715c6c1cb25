"""In a model process: whether the images that come are like those that the model knows, tested all the time."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vitrail.measures.mahalanobis import mahalanobis_distance
from vitrail.measures.stream_test import StreamTest
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.prediction.answers import UNLIKE, Answers

TELL_EVERY_SECONDS = 2.0
MOST_KNOWN = 100_000
"""Files that are known again."""


def content_hash(content: bytes) -> bytes:
    """Eight bytes for the content of a file: of a hundred thousand, two share one by chance once in four billion."""
    return hashlib.blake2b(content, digest_size=8).digest()


class ShiftWatch:
    """The stream test of the package's reference, fed with every image that is answered.

    It may be looked at at any moment: of streams of images like the known ones one in twenty is ever called changed
    (`measures.stream_test`). That holds where each is a new one: a file that comes again (a program that asks twice, a
    monitor's one photograph) counts once, as long as it is among the last 100,000.

    Args:
        reference: of the package; None: nothing is said.
        tell: receives the state; see `tell_for_ever`.
    """

    def __init__(self, reference: ShiftReference | None, *, tell: Callable[[dict[str, Any]], None]) -> None:
        self._reference, self._tell = reference, tell
        self._test = None if reference is None else StreamTest.begun(reference.scores)
        self._unlike = 0
        self._known: dict[bytes, None] = {}

    def take(self, answers: Answers, contents: Mapping[int, bytes]) -> None:
        """More images that were answered, as (row → hash of its file); those of other rows have no part in it."""
        if self._reference is None or self._test is None:
            return
        some = [row for row, content in contents.items() if self._is_new(content)]
        if not some:
            return
        distances = mahalanobis_distance(self._reference.distances, answers.features[some])
        self._test = self._test.after(distances)
        if answers.likeness is not None:
            self._unlike += int(np.count_nonzero(answers.likeness[some] <= UNLIKE))

    def _is_new(self, content: bytes) -> bool:
        if content in self._known:
            return False
        self._known[content] = None
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return True

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
