"""Where the time of a run went."""

import time


class Stopwatch:
    """Seconds since it was made, and since each lap before.

    >>> watch = Stopwatch()
    >>> watch.lap("model")
    >>> list(watch.laps)
    ['model']
    """

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Book the time since the last lap under `name`."""
        now = time.monotonic()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start
