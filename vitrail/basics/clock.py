"""Time that is handed in, and time that no change of the clock disturbs."""

import time
from typing import Protocol, runtime_checkable

_SINCE_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)


@runtime_checkable
class Clock(Protocol):
    """What tells the time; tests have one of their own."""

    def monotonic(self) -> float:
        """Seconds that only ever go on, from an arbitrary start."""

    def wall(self) -> float:
        """Seconds since 1970, which somebody may set forward or back."""


class SystemClock:
    """The machine's own clock; where the system tells, the seconds in which it slept are among those that went by."""

    def monotonic(self) -> float:
        """Seconds that only ever go on."""
        return time.monotonic() if _SINCE_BOOT is None else time.clock_gettime(_SINCE_BOOT)

    def wall(self) -> float:
        """Seconds since 1970, as this machine believes."""
        return time.time()


class SteadyTime:
    """Seconds since 1970 that only ever go on: the wall clock is read once, and elapsed time is added.

    A wall clock that is set by an hour while a server runs changes nothing. One that was wrong when the server began
    stays wrong until it begins anew, and a server that runs for months drifts from the wall clock by seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._offset = clock.wall() - clock.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._offset + self._monotonic()
