"""A clock that goes on when it is told to."""


class FalseClock:
    """Wall and elapsed time, moved by hand."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self._monotonic, self._wall = 1000.0, wall

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def go_on(self, seconds: float) -> None:
        self._monotonic += seconds
        self._wall += seconds

    def set_wall(self, by_seconds: float) -> None:
        self._wall += by_seconds
