"""How fast a model answers while something waits: the time from one answer to the next, decoding and all."""

from collections import deque

REMEMBERED = 32
"""Answers from which the pace is known."""


class Pace:
    """Seconds an image costs lately, as whoever waits feels it: on a machine that slows down, more.

    Times are those of one clock that goes forward.
    """

    def __init__(self) -> None:
        self._spans: deque[float] = deque(maxlen=REMEMBERED)
        self._since = 0.0

    def begin(self, now: float) -> None:
        """Something waits, where nothing did before."""
        self._since = now

    def answered(self, now: float) -> None:
        """One answer more, and the next one is worked at."""
        self._spans.append(now - self._since)
        self._since = now

    @property
    def seconds(self) -> float:
        """An image; 0.0 before the first answer."""
        return sum(self._spans) / len(self._spans) if self._spans else 0.0
