"""In a model process: which questions are not answered yet, and for which of them nobody waits any more."""

import threading


class OpenQuestions:
    """Numbers of questions; every method may be called by any thread.

    Every question that was begun is ended by exactly one reply, cancelled or not: so the front knows at all times what
    the process still holds, and whether it hangs.
    """

    def __init__(self) -> None:
        self._is_cancelled: dict[int, bool] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._is_cancelled)

    def begin(self, number: int) -> None:
        """One more that is to be answered."""
        with self._lock:
            self._is_cancelled[number] = False

    def cancel(self, number: int) -> None:
        """Nobody waits for that one any more; it may be answered already."""
        with self._lock:
            if number in self._is_cancelled:
                self._is_cancelled[number] = True

    def is_cancelled(self, number: int) -> bool:
        """Whether its answer would be for nobody."""
        return self._is_cancelled.get(number, False)

    def end(self, number: int) -> None:
        """It is answered."""
        with self._lock:
            self._is_cancelled.pop(number, None)
