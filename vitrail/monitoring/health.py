"""Whether an arm is well, with the numbers that say so."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from vitrail.basics.settings import Settings
from vitrail.monitoring.window_figures import WindowFigures

HealthStatus = Literal["healthy", "degraded", "unhealthy", "unknown"]


class HealthLimits(Settings):
    """From where on an arm is called unwell; 0.95 and 1 s are those of the article's PerformanceTracker."""

    least_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.95
    """A smaller share of answers among all requests is `unhealthy`."""
    most_p95_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """Where more than 5 of 100 answers take longer, the arm is `degraded`."""
    least_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """With fewer requests in the window nothing is said: `unknown`."""


@dataclass(frozen=True)
class Health:
    """A verdict, and a sentence with the numbers it rests on."""

    status: HealthStatus
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def judged_health(figures: WindowFigures, limits: HealthLimits, *, down_because: str | None = None) -> Health:
    """How an arm is, by the figures of a window.

    Args:
        figures: of the window.
        limits: what is well.
        down_because: why the model cannot answer at all now (`its process was killed by the system`), if so: that is
            `unhealthy`, whatever the figures say.
    """
    if down_because is not None:
        return Health("unhealthy", down_because)
    n, span = figures.total_requests, window_words(figures.seconds)
    if n == 0:
        return Health("unknown", f"no requests within {span}")
    if n < limits.least_requests:
        many = "request" if n == 1 else "requests"
        return Health("unknown", f"only {n:,} {many} within {span}; a verdict needs {limits.least_requests:,}")
    answered = n - figures.failure_count
    rate = f"{answered:,} of {n:,} requests answered within {span} ({_percent(answered / n)} %)"
    if answered / n < limits.least_success_rate:
        return Health("unhealthy", f"{rate}; at least {100 * limits.least_success_rate:g} % are needed")
    p95 = figures.p95_inference_time
    if p95 is None:
        return Health("healthy", rate)
    slow = f"95 of 100 answers took up to {_seconds(p95)}"
    if p95 > limits.most_p95_seconds:
        return Health("degraded", f"{slow}, the limit is {_seconds(limits.most_p95_seconds)}; {rate}")
    return Health("healthy", f"{rate}; {slow}")


def window_words(seconds: float | int) -> str:
    """`the last 5 minutes`, for sentences.

    >>> window_words(300.0), window_words(60.0), window_words(90.0)
    ('the last 5 minutes', 'the last minute', 'the last 90 seconds')
    """
    length, unit = (seconds / 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"the last {unit}" if length == 1 else f"the last {length:g} {unit}s"


def _percent(share: float) -> str:
    """A share that is below a limit never reads as if it were not: 0.94996 is 94.9 %."""
    return f"{int(share * 1000 + 1e-9) / 10:.1f}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"
