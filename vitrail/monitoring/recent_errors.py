"""The last errors of every arm, for whoever looks at a console: short, on one line, a bounded number."""

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from vitrail.basics.clock import Clock, SteadyTime
from vitrail.basics.printable import printable

MOST_ERRORS = 50
MOST_ARMS = 200
LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class RecentError:
    """What went wrong.

    Attributes:
        at: when, in seconds since 1970.
        kind: a short word for what it was, such as `timeout` or the name of a class.
        message: on one line, without what nobody but the owner may see: the caller sees to that.
    """

    at: float
    kind: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class RecentErrors:
    """The last 50 errors of each arm; safe for several threads."""

    def __init__(self, clock: Clock) -> None:
        self._time = SteadyTime(clock)
        self._lock = threading.Lock()
        self._by_arm: dict[str, deque[RecentError]] = {}

    def add(self, arm: str, kind: str, message: str) -> None:
        """Keep an error; its message is cut after 300 characters and what terminals would obey is spelled out."""
        line = printable(" ".join(message[: 2 * LONGEST_MESSAGE].split()))
        short = line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 1]}…"
        error = RecentError(self._time.now(), printable(kind[:100]), short)
        with self._lock:
            if arm not in self._by_arm and len(self._by_arm) >= MOST_ARMS:
                del self._by_arm[min(self._by_arm, key=lambda each: self._by_arm[each][-1].at)]
            self._by_arm.setdefault(arm, deque(maxlen=MOST_ERRORS)).append(error)

    def of(self, arm: str) -> list[RecentError]:
        """The last errors of an arm, newest first."""
        with self._lock:
            return list(reversed(self._by_arm.get(arm, ())))
