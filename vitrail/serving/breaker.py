"""One model's circuit breaker: a model that keeps failing is not asked until one probe has shown that it answers again.

After Nygard, Release It! (2007): closed, open, half-open. It knows nothing of threads, nor of other models; see
`breakers`, whose lock it is used under.
"""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from vitrail.basics.settings import Settings


class BreakerSettings(Settings):
    """When a model that fails is left alone, and for how long."""

    failures_to_open: int = Field(default=5, ge=1, le=1000)
    """Failures in a row after which a model is not asked any more."""
    failing_share: float = Field(default=0.5, gt=0, le=1)
    """It is not asked either when this share of its latest answers failed."""
    failing_least_answers: int = Field(default=20, ge=1, le=100_000)
    """Answers that such a share takes at least."""
    failing_seconds: int = Field(default=10, ge=1, le=600)
    """Answers count as the latest for so many seconds."""
    open_seconds: float = Field(default=5.0, gt=0, le=3600)
    """After so long one request tries the model again; each time that it fails, the next wait is twice as long."""
    most_open_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """The longest such wait."""
    probe_seconds: float = Field(default=15.0, gt=0, le=3600)
    """A trial whose outcome is not known after so long has failed; longer than a model may take for an answer."""


@dataclass(frozen=True)
class BreakerState:
    """What there is to say about one model's breaker, for the console.

    Attributes:
        model: its id.
        state: `closed`: it is asked; `open`: it is not; `half-open`: one request is trying it.
        seconds: for how long it has been in this state.
        reason: the last failure that mattered; None: none since it was closed.
        failures_in_a_row: up to now.
        kept_as_last: whether it fails enough to be left alone, but is the last model that is not.
        seconds_to_probe: until a request may try it again; None unless open.
        openings: how often it was opened, or opened again after a probe that failed, since the server started.
    """

    model: str
    state: str
    seconds: float
    reason: str | None
    failures_in_a_row: int
    kept_as_last: bool
    seconds_to_probe: float | None
    openings: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Breaker:
    """The state of one model's breaker; every method is told the time, in seconds of a clock that only goes forward."""

    def __init__(self, settings: BreakerSettings, now: float) -> None:
        self.state = "closed"
        self.kept_as_last = False
        self.openings = 0
        self._settings = settings
        self._since = now
        self._reason: str | None = None
        self._in_a_row = 0
        self._waits = 0  # openings since it was last closed: how long the next one lasts
        self._until = now
        self._ticket = 0  # outcomes of requests that were admitted before the latest change of state mean nothing
        self._latest: deque[list[int]] = deque()  # [second, succeeded, failed]

    def ticket(self, now: float) -> int | None:
        """What a request is admitted with, to be given back with its outcome; None: the model is not asked."""
        if self.state == "closed":
            return self._ticket
        if self.state == "half-open" and now >= self._until:
            self.open(self._until, f"a probe had no outcome after {self._settings.probe_seconds:g} s")
        if self.state == "half-open" or now < self._until:
            return None
        self._turn("half-open", now)
        self._until = now + self._settings.probe_seconds
        return self._ticket

    def succeeded(self, ticket: int, now: float) -> None:
        """The model has answered."""
        if ticket != self._ticket:
            return
        if self.state == "half-open":
            self.close(now)
        else:
            self._in_a_row = 0
            self._count(now, failed=False)
            self.kept_as_last = self.kept_as_last and self._fails_too_often(now)

    def failed(self, ticket: int, now: float, reason: str, *, is_last: bool) -> None:
        """The model has failed; it is left alone if that was too often, unless no other is left."""
        if ticket != self._ticket:
            return
        self._reason = reason
        self._in_a_row += 1
        if self.state == "half-open":
            self.open(now, reason)
            return
        self._count(now, failed=True)
        too_often = self._fails_too_often(now)
        if too_often and not is_last:
            self.open(now, reason)
        self.kept_as_last = too_often and is_last

    def abandoned(self, ticket: int, now: float) -> None:
        """Nobody waited for the outcome: it says nothing about the model, and the next request may be the probe."""
        if ticket == self._ticket and self.state == "half-open":
            self._turn("open", now)
            self._until = now

    def open(self, now: float, reason: str) -> None:
        """Leave the model alone, each time for longer."""
        wait = min(self._settings.open_seconds * 2.0 ** min(self._waits, 40), self._settings.most_open_seconds)
        self._turn("open", now)
        self._reason, self._until = reason, now + wait
        self._waits += 1
        self.openings += 1
        self.kept_as_last = False

    def close(self, now: float) -> None:
        """Ask the model again, as if nothing had been."""
        self._turn("closed", now)
        self._reason, self._in_a_row, self._waits = None, 0, 0
        self._latest.clear()

    def seconds_to_probe(self, now: float) -> float | None:
        """Until a request may try the model again; None unless it is open."""
        return max(0.0, self._until - now) if self.state == "open" else None

    def seen(self, model: str, now: float) -> BreakerState:
        """What there is to say about it."""
        return BreakerState(
            model=model, state=self.state, seconds=max(0.0, now - self._since), reason=self._reason,
            failures_in_a_row=self._in_a_row, kept_as_last=self.kept_as_last,
            seconds_to_probe=self.seconds_to_probe(now), openings=self.openings,
        )  # fmt: skip

    def _turn(self, state: str, now: float) -> None:
        self.state, self._since = state, now
        self._ticket += 1

    def _count(self, now: float, *, failed: bool) -> None:
        second = int(now)
        if not self._latest or self._latest[-1][0] != second:
            self._latest.append([second, 0, 0])
            while self._latest[0][0] <= second - self._settings.failing_seconds:
                self._latest.popleft()
        self._latest[-1][1 + failed] += 1

    def _fails_too_often(self, now: float) -> bool:
        if self._in_a_row >= self._settings.failures_to_open:
            return True
        failed, succeeded = (sum(each[place] for each in self._latest) for place in (2, 1))
        answers = failed + succeeded
        return answers >= self._settings.failing_least_answers and failed >= self._settings.failing_share * answers
