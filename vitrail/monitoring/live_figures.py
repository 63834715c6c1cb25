"""Figures of the last hour, by arm: counted on the request path in microseconds, merged when somebody looks."""

import threading
from collections.abc import Mapping

from vitrail.basics.clock import Clock, SteadyTime
from vitrail.basics.errors import InputError
from vitrail.monitoring.slots import HISTORY_SLOTS, SLOT_SECONDS, SlotHistory, slot_at
from vitrail.monitoring.tally import Outcome, Tally, summed
from vitrail.monitoring.window_figures import SeriesPoint, WindowFigures, series_point, window_figures

ALL_REQUESTS = "(all requests)"
"""The arm under which a server counts each request once more, as its user sees it; `arms` leaves it out."""

LONGEST_WINDOW_SECONDS = HISTORY_SLOTS * SLOT_SECONDS

_OWN = ""


class LiveFigures:
    """Counts outcomes by arm and gives figures of the last seconds up to an hour; safe for several threads.

    Time comes in slots of five seconds: a window begins with the slot that its first second lies in. What other
    servers, or this one before a restart, have counted is put in by whoever reads it from a database.

    Args:
        clock: its wall is read once, now; a clock that is set later changes nothing.

    >>> from vitrail.basics.clock import SystemClock
    >>> live = LiveFigures(SystemClock())
    >>> live.count("stable", Outcome("success", seconds=0.02, answer="ant", confidence=0.9))
    >>> live.window("stable", seconds=300).total_requests
    1
    """

    def __init__(self, clock: Clock) -> None:
        self._time = SteadyTime(clock)
        self._begun = self._time.now()
        self._lock = threading.Lock()
        self._own: dict[str, SlotHistory] = {}
        self._others: dict[tuple[str, str], SlotHistory] = {}

    def now(self) -> float:
        """Seconds since 1970 that only ever go on."""
        return self._time.now()

    def count(self, arm: str, outcome: Outcome) -> None:
        """Count what came of asking an arm about one image; see `Outcome`. Never raises, never waits for a disk."""
        with self._lock:  # the slot, too: one that is handed out is never counted in again
            slot = int(self._time.now() // SLOT_SECONDS)
            history = self._own.get(arm)
            if history is None:
                history = self._own[arm] = SlotHistory()
            history.tally(slot).count(outcome)

    def arms(self) -> list[str]:
        """The arms that anything was counted for within the last hour, here or on other servers."""
        with self._lock:
            self._forget_old()
            return sorted({*self._own, *(arm for _, arm in self._others)} - {ALL_REQUESTS})

    def window(self, arm: str, *, seconds: float | int = 300) -> WindowFigures:
        """Figures of the last `seconds` of an arm; of one that nothing was counted for, those of no requests.

        Args:
            arm: its name.
            seconds: whole, from 1 to 3,600.

        Raises:
            InputError: the window is shorter or longer.
        """
        _check_window(seconds)
        now = self.now()
        first = slot_at(now - seconds)
        with self._lock:
            tally = summed(self._between(arm, first, slot_at(now)))
            start = max(first * SLOT_SECONDS, self._counted_from(arm, first))
        return window_figures(tally, seconds=seconds, covered_seconds=max(0.0, now - start))

    def series(self, arm: str, *, seconds: float | int = 3600, points: int = 60) -> list[SeriesPoint]:
        """Figures over time, oldest first, in up to so many equal parts of at least one slot.

        Raises:
            InputError: the window is not between 1 and 3,600 seconds, or there are not 1 to 720 points.
        """
        _check_window(seconds)
        if not 1 <= points <= HISTORY_SLOTS:
            raise InputError(f"a series of {points} points was asked for", hint=f"ask for 1 to {HISTORY_SLOTS}")
        slots = max(1, -(-int(seconds) // (SLOT_SECONDS * points)))
        now = self.now()
        last = slot_at(now) // slots
        with self._lock:
            counted_from = self._counted_from(arm, slot_at(now - seconds))
            parts = range(last - -(-int(seconds) // (SLOT_SECONDS * slots)) + 1, last + 1)
            sums = {part: summed(self._between(arm, part * slots, (part + 1) * slots - 1)) for part in parts}
        length = slots * SLOT_SECONDS
        return [
            series_point(
                tally, at=float(part * length), seconds=min(float(length), now - part * length),
                counted=(part + 1) * length > counted_from,
            )
            for part, tally in sums.items()
        ]  # fmt: skip

    def finished(self, *, after: Mapping[str, int], unfinished: bool = False) -> list[tuple[str, int, Tally]]:
        """Own slots that no more is counted in, as (arm, slot, tally), oldest first.

        Args:
            after: by arm, the slot from behind which they are wanted.
            unfinished: whether a copy of that under way is wanted as well: a server that ends counts no more.
        """
        current = slot_at(self.now())
        with self._lock:
            self._forget_old()
            return [
                (arm, slot, summed([tally]) if slot >= current else tally)
                for arm, history in self._own.items()
                for slot, tally in history.finished(after=after.get(arm, -1), before=current + unfinished)
            ]

    def put(self, source: str, arm: str, slot: int, tally: Tally) -> None:
        """What another process counted in a slot; a second time it takes the place of the first."""
        with self._lock:
            self._others.setdefault((source, arm), SlotHistory()).put(slot, tally)

    def _between(self, arm: str, first: int, last: int) -> list[Tally]:
        return [tally for history in self._histories(arm) for tally in history.between(first, last)]

    def _histories(self, arm: str) -> list[SlotHistory]:
        own = [self._own[arm]] if arm in self._own else []
        return own + [history for (_, of), history in self._others.items() if of == arm]

    def _counted_from(self, arm: str, first: int) -> float:
        """Since when somebody counted: this process, or another whose slots are there."""
        starts = [start for history in self._histories(arm) if (start := history.first_from(first)) is not None]
        return min([self._begun, *(float(start * SLOT_SECONDS) for start in starts)])

    def _forget_old(self) -> None:
        oldest = slot_at(self.now()) - HISTORY_SLOTS
        for history in (*self._own.values(), *self._others.values()):
            history.forget_before(oldest)
        self._own = {arm: history for arm, history in self._own.items() if len(history)}
        self._others = {key: history for key, history in self._others.items() if len(history)}


def _check_window(seconds: float | int) -> None:
    if not (1 <= seconds <= LONGEST_WINDOW_SECONDS and seconds == int(seconds)):
        raise InputError(
            f"a window of {seconds:g} seconds was asked for",
            hint=f"ask for whole seconds, from 1 to {LONGEST_WINDOW_SECONDS:,}",
        )
