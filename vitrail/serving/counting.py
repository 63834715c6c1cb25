"""Counts outcomes for the windows that people look at and for the counters that Prometheus reads."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vitrail.monitoring.live_figures import ALL_REQUESTS, LiveFigures
from vitrail.monitoring.tally import Outcome

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; those that OpenTelemetry recommends for `http.server.request.duration`."""


@runtime_checkable
class AnswerLog(Protocol):
    """Keeps answers for truths that come later."""

    def answered(self, request_id: str, arm: str, answer: str, attributes: Mapping[str, str]) -> None:
        """Must return at once."""


class Counting:
    """What the answering code tells everything to.

    The registry is this server's own: two in one process do not get in each other's way. Labels are arms and words of
    ours, never a user or a class.
    """

    def __init__(self, live: LiveFigures, log: AnswerLog) -> None:
        self._live, self._log = live, log
        self.registry = CollectorRegistry()
        self._images = Counter(
            "vitrail_images", "Images by arm and what came of them.", ["arm", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "vitrail_inference_seconds", "From the question to a model to its answer.", ["arm"], buckets=BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self._unlike = Counter(
            "vitrail_unlike_images", "Images unlike what the model knows.", ["arm"], registry=self.registry
        )
        self._state = Gauge("vitrail_model_ready", "1 where the model answers.", ["model"], registry=self.registry)
        self._waiting = Gauge("vitrail_images_waiting", "Images that wait.", ["model"], registry=self.registry)
        self._children: dict[tuple[str, str], Any] = {}

    def count(self, arm: str, outcome: Outcome) -> None:
        """See `Watcher`."""
        self._live.count(arm, outcome)
        if arm == ALL_REQUESTS:
            return
        self._child(self._images, arm, outcome.status).inc()
        if outcome.seconds is not None:
            self._child(self._seconds, arm, "").observe(outcome.seconds)
        if outcome.unlike:
            self._child(self._unlike, arm, "").inc()

    def answered(self, request_id: str, arm: str, answer: str, attributes: Mapping[str, str]) -> None:
        """See `Watcher`."""
        self._log.answered(request_id, arm, answer, attributes)

    def prometheus_text(self, models: Iterator[tuple[str, bool, int]]) -> bytes:
        """What Prometheus reads; of every model its name, whether it answers, and how many images wait."""
        for gauge in (self._state, self._waiting):
            gauge.clear()
        for name, ready, waiting in models:
            self._state.labels(name).set(int(ready))
            self._waiting.labels(name).set(waiting)
        return generate_latest(self.registry)

    def _child(self, metric: Any, arm: str, outcome: str) -> Any:
        """Of a metric; looking it up anew takes longer than counting."""
        key = (metric._name, arm + "\0" + outcome)
        if key not in self._children:
            self._children[key] = metric.labels(arm, outcome) if outcome else metric.labels(arm)
        return self._children[key]
