"""Figures of a window, under the names that the articles give them; None where there is nothing to tell."""

from dataclasses import dataclass
from typing import Any

from vitrail.measures.intervals import Measure, wilson
from vitrail.monitoring.latency import quantile
from vitrail.monitoring.tally import Tally


@dataclass(frozen=True)
class WindowFigures:
    """What came of the requests of a window.

    Attributes:
        seconds: length of the window that was asked for.
        covered_seconds: what the figures are of: up to a slot more, and less where there are no figures so old.
        total_requests: how often the arm was asked; see `tally.Outcome`.
        failure_count: how often in vain.
        fallbacks_taken: answers in another arm's stead.
        refused: requests that the arm was not asked about; no part of the total.
        success_rate: answers among all that was asked, with Wilson's interval.
        avg_inference_time: seconds of an answer; these and the following are None where there is none.
        p50_inference_time: within 1 % of itself, as the other two.
        p95_inference_time: likewise.
        p99_inference_time: likewise.
        answers: how many by class, most first.
        confidence_mean: probability of the answers.
        confidence_histogram: how many by tenths.
        unlike_share: images unlike what the model knows, among those of which it can tell, with Wilson's interval.
    """

    seconds: float | int
    covered_seconds: float
    total_requests: int
    failure_count: int
    fallbacks_taken: int
    refused: int
    success_rate: Measure
    avg_inference_time: float | None
    p50_inference_time: float | None
    p95_inference_time: float | None
    p99_inference_time: float | None
    answers: dict[str, int]
    confidence_mean: float | None
    confidence_histogram: tuple[int, ...]
    unlike_share: Measure

    @property
    def requests_per_second(self) -> float | None:
        """None where the window covers no time yet."""
        return self.total_requests / self.covered_seconds if self.covered_seconds > 0 else None

    def as_json(self) -> dict[str, Any]:
        """Plain values: `success_rate` is the number, its interval stands beside it."""
        answered = sum(self.answers.values())
        return {
            "window_seconds": self.seconds,
            "covered_seconds": round(self.covered_seconds, 3),
            "total_requests": self.total_requests,
            "failure_count": self.failure_count,
            "fallbacks_taken": self.fallbacks_taken,
            "refused": self.refused,
            "requests_per_second": self.requests_per_second,
            "success_rate": self.success_rate.value,
            "success_rate_interval": _interval(self.success_rate),
            "avg_inference_time": self.avg_inference_time,
            "p50_inference_time": self.p50_inference_time,
            "p95_inference_time": self.p95_inference_time,
            "p99_inference_time": self.p99_inference_time,
            "answers": {name: {"count": n, "share": n / answered} for name, n in self.answers.items()},
            "confidence": {
                "mean": self.confidence_mean,
                "n": sum(self.confidence_histogram),
                "histogram": list(self.confidence_histogram),
            },
            "unlike_share": self.unlike_share.value,
            "unlike_n": self.unlike_share.n,
            "unlike_interval": _interval(self.unlike_share),
        }


def _interval(measure: Measure) -> list[float] | None:
    return None if measure.low is None or measure.high is None else [measure.low, measure.high]


def window_figures(tally: Tally, *, seconds: float | int, covered_seconds: float) -> WindowFigures:
    """The figures of what was counted in a window."""
    return WindowFigures(
        seconds=seconds,
        covered_seconds=covered_seconds,
        total_requests=tally.total,
        failure_count=tally.failures,
        fallbacks_taken=tally.fallbacks_taken,
        refused=tally.refused,
        success_rate=wilson(tally.total - tally.failures, tally.total, name="success rate"),
        avg_inference_time=tally.mean_seconds,
        p50_inference_time=quantile(tally.times, 50),
        p95_inference_time=quantile(tally.times, 95),
        p99_inference_time=quantile(tally.times, 99),
        answers=dict(sorted(tally.answers.items(), key=lambda each: (-each[1], each[0]))),
        confidence_mean=tally.mean_confidence,
        confidence_histogram=tuple(tally.confidences),
        unlike_share=wilson(tally.unlike, tally.likened, name="share unlike what the model knows"),
    )


@dataclass(frozen=True)
class SeriesPoint:
    """One point of a chart.

    Attributes:
        at: when it begins, in seconds since 1970.
        seconds: how long it is; the last one ends now.
        total_requests: how often the arm was asked.
        failure_count: how often in vain.
        requests_per_second: None where nobody counted yet.
        p95_inference_time: seconds; None where there was no answer.
        confidence_mean: likewise.
    """

    at: float
    seconds: float | int
    total_requests: int
    failure_count: int
    requests_per_second: float | None
    p95_inference_time: float | None
    confidence_mean: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "at": self.at,
            "seconds": self.seconds,
            "total_requests": self.total_requests,
            "failure_count": self.failure_count,
            "requests_per_second": self.requests_per_second,
            "p95_inference_time": self.p95_inference_time,
            "confidence_mean": self.confidence_mean,
        }


def series_point(tally: Tally, *, at: float, seconds: float, counted: bool) -> SeriesPoint:
    """The point of a chart that begins `at`; `counted` says whether anybody counted then."""
    rate = tally.total / seconds if seconds > 0 and (counted or tally.total) else None
    return SeriesPoint(
        at, seconds, tally.total, tally.failures, rate, quantile(tally.times, 95), tally.mean_confidence
    )  # fmt: skip
