"""The circuit breakers of all models of a server: at least one of them is always closed."""

import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

from vitrail.serving.breaker import Breaker, BreakerSettings, BreakerState


class Permit:
    """One request's leave to ask one model. Exactly one outcome is told; later ones are not heard.

    Faults of the client, such as an image that cannot be read, are no failures of the model: `abandoned`.
    """

    def __init__(self, breakers: "Breakers", model: str, breaker: Breaker, ticket: int) -> None:
        self.model = model
        self._breakers = breakers
        self._breaker = breaker
        self._ticket: int | None = ticket

    def succeeded(self) -> None:
        """The model has answered."""
        self._breakers.tell(self._breaker, self._taken_ticket(), None)

    def failed(self, reason: str) -> None:
        """The model has failed, for a reason that may be shown: without paths and secrets."""
        self._breakers.tell(self._breaker, self._taken_ticket(), reason)

    def abandoned(self) -> None:
        """Nobody waited for the outcome, or it says nothing about the model."""
        self._breakers.forget(self._breaker, self._taken_ticket())

    def _taken_ticket(self) -> int:
        ticket, self._ticket = self._ticket, None
        return -1 if ticket is None else ticket


class Breakers:
    """One breaker per model, safe for several threads.

    The last that is closed stays so, however it fails: an answer that may fail is better than none at all.

    Args:
        models: ids of the models that are served.
        clock: seconds; only goes forward, such as `time.monotonic`.
        settings: when they open, and for how long.

    >>> breakers = Breakers(["ants", "bees"], clock=lambda: 0.0, settings=BreakerSettings(failures_to_open=1))
    >>> breakers.admitted("ants").failed("it crashed")
    >>> breakers.admitted("ants") is None, breakers.admitted("bees") is None
    (True, False)
    """

    def __init__(self, models: Iterable[str], clock: Callable[[], float], settings: BreakerSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._lock = threading.Lock()
        self._of: dict[str, Breaker] = {}
        self._answering: set[str] = set()
        self.follow(models)

    def admitted(self, model: str) -> Permit | None:
        """Leave to ask a model, or None where it is left alone or not served; its outcome is to be told."""
        with self._lock:
            breaker = self._of.get(model)
            ticket = None if breaker is None else breaker.ticket(self._clock())
        return None if breaker is None or ticket is None else Permit(self, model, breaker, ticket)

    def follow(
        self, models: Iterable[str], *, answering: Iterable[str] | None = None, fresh: Collection[str] = ()
    ) -> None:
        """Serve these models from now on: new ones begin closed, those that stay keep their state.

        Where all that stay and answer are open, the one that would be tried first is closed.

        Args:
            models: all of them.
            answering: those that answer for others, of which one is always closed: a canary that works is no help to
                the users of a stable model. None: all.
            fresh: those whose package is another one: what is known of the old one is forgotten.
        """
        with self._lock:
            now = self._clock()
            known = {model: breaker for model, breaker in self._of.items() if model not in fresh}
            self._of = {model: known.get(model) or Breaker(self._settings, now) for model in models}
            self._answering = set(self._of if answering is None else answering)
            able = [breaker for model, breaker in self._of.items() if model in self._answering]
            if able and not self._closed():
                min(able, key=lambda each: each.seconds_to_probe(now) or 0.0).close(now)

    def states(self) -> list[BreakerState]:
        """What there is to say about each model, in their order."""
        with self._lock:
            now = self._clock()
            return [breaker.seen(model, now) for model, breaker in self._of.items()]

    def seconds_to_probe(self, models: Iterable[str]) -> float | None:
        """After how long one of these may be asked again: what a refused client is told; None: nobody can say."""
        with self._lock:
            now = self._clock()
            waits = [self._of[model].seconds_to_probe(now) for model in models if model in self._of]
        return min((wait for wait in waits if wait is not None), default=None)

    def as_json(self) -> list[dict[str, Any]]:
        """Plain values of `states`."""
        return [state.as_json() for state in self.states()]

    def tell(self, breaker: Breaker, ticket: int, failure: str | None) -> None:
        """For permits: what came of a request."""
        with self._lock:
            now = self._clock()
            if failure is None:
                breaker.succeeded(ticket, now)
            else:
                breaker.failed(ticket, now, failure, is_last=self._closed() == [breaker])

    def forget(self, breaker: Breaker, ticket: int) -> None:
        """For permits: a request whose outcome says nothing."""
        with self._lock:
            breaker.abandoned(ticket, self._clock())

    def _closed(self) -> list[Breaker]:
        """Of those that answer for others."""
        able = [breaker for model, breaker in self._of.items() if model in self._answering]
        return [breaker for breaker in able if breaker.state == "closed"]
