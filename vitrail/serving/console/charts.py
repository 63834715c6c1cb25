"""Panel: what moved within the last quarter of an hour, on one scale for all arms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vitrail.monitoring.window_figures import SeriesPoint
from vitrail.pages.frame import render_page
from vitrail.pages.live_chart import LiveChart, live_charts
from vitrail.pages.numbers import duration
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View

SECONDS = 900
POINTS = 60
SHORTEST_POINT = 5.0
"""Seconds. The point under way is left out until then: what is counted in a moment is no rate."""


@dataclass(frozen=True)
class _Kind:
    title: str
    value: Callable[[SeriesPoint], float | None]
    words: Callable[[float], str]
    bars: bool = False


KINDS = (
    _Kind("requests per second", lambda point: point.requests_per_second, lambda rate: f"{rate:.3g} / s"),
    _Kind("95 of 100 answered within", lambda point: point.p95_inference_time, duration),
    _Kind("failures", lambda point: float(point.failure_count), lambda n: f"{n:,.0f}", bars=True),
)


def charts(view: View) -> str:
    """A row per arm, three charts in each."""
    names = view.counted_and_all if len(view.counted) > 1 else view.counted
    series = {arm: _finished(view.service.live.series(arm, seconds=SECONDS, points=POINTS)) for arm in names}
    columns = [_column(kind, list(series.values())) for kind in KINDS]
    rows = [(words, [column[number] for column in columns]) for number, words in enumerate(names.values())]
    return render_page("console/charts.html", rows=rows, titles=[kind.title for kind in KINDS], minutes=SECONDS // 60)


def _finished(points: list[SeriesPoint]) -> list[SeriesPoint]:
    return points[:-1] if points[-1].seconds < SHORTEST_POINT else points


def _column(kind: _Kind, series: Sequence[Sequence[SeriesPoint]]) -> list[LiveChart]:
    values = [[kind.value(point) for point in points] for points in series]
    return live_charts(values, title=kind.title, words=kind.words, bars=kind.bars)


PANEL = Panel("charts", "The last quarter of an hour", charts)
