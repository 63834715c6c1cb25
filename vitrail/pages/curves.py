"""Curves of a training as inline SVG: no script, the page's own colours, and dashes that tell lines apart in print.

Text is drawn at its final size (the SVG is never scaled), so it stays readable on a phone; a plot wider than the
screen scrolls in its own box.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

from vitrail.measures.intervals import as_decimal
from vitrail.pages.numbers import percent as percent_text
from vitrail.pages.plots import CHARACTER_PIXELS

WIDTH = 452
"""Two plots stand side by side in the page's column, and one nearly fits a phone."""

PLOT_HEIGHT = 200
RIGHT = WIDTH - 17
"""Right end of the x-axis, with room for half of its last number."""

ROW = 18
"""Height of a row of text."""

MOST_POINTS = 400
"""Beyond, several epochs share a pixel, and only the highest and lowest of them are drawn."""

DASHES = ("none", "7 4", "2 3", "10 3 2 3")


@dataclass(frozen=True)
class Series:
    """One line: its name, and a value for every x, ascending; NaN leaves a gap."""

    name: str
    x: Float[np.ndarray, "E"]
    y: Float[np.ndarray, "E"]


@dataclass(frozen=True)
class Mark:
    """A vertical line at x with its words."""

    x: float | int
    label: str


@dataclass(frozen=True)
class Band:
    """A named stretch of the x-axis, from the first to the last whole x that belongs to it."""

    start: float | int
    end: float | int
    name: str


@dataclass(frozen=True)
class TrainingPlots:
    """The plots of a report's training section."""

    loss: Markup
    accuracy: Markup


@dataclass(frozen=True)
class _Axes:
    """Where values lie in the picture: x between `left` and the right edge, y PLOT_HEIGHT pixels from `top`."""

    left: float
    top: float | int
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]

    @property
    def bottom(self) -> float | int:
        return self.top + PLOT_HEIGHT

    def x(self, value: float | int) -> float:
        low, high = self.x_limits
        return self.left + (RIGHT - self.left) * (value - low) / (high - low)

    def y(self, value: float | int) -> float:
        low, high = self.y_limits
        return self.bottom - PLOT_HEIGHT * (value - low) / (high - low)


def curve_svg(
    series: Sequence[Series],
    *,
    title: str,
    marks: Sequence[Mark] = (),
    bands: Sequence[Band] = (),
    x_label: str = "epoch",
    y_label: str,
    percent: bool = False,
) -> Markup:
    """Lines over whole numbers (epochs), with bands behind them and vertical marks.

    Args:
        series: up to four are told apart by colour and dashes. A value without neighbours is drawn as a dot.
        title: for those who cannot see the plot; the description under it says first, last and extreme values.
        marks: their words stand above the plot, each in a row where it overlaps no other.
        bands: stages, shaded in turns; a name that does not fit is shortened, and shown in full on hovering.
        percent: y is a share in [0, 1], drawn in percent over the range it has; other values are drawn from 0.
    """
    shown = [Series(each.name, each.x, np.where(np.isfinite(each.y), each.y, np.nan)) for each in series]
    ticks = _value_ticks(np.concatenate([each.y for each in shown]), percent=percent)
    names = [_tick_text(tick, ticks, percent=percent) for tick in ticks]
    left = 34 + max(map(len, names)) * CHARACTER_PIXELS
    legend, legend_rows = _legend([each.name for each in shown])
    axes = _Axes(left, ROW * legend_rows + 6, _x_limits(shown, bands), (ticks[0], ticks[-1]))
    rows = _mark_rows(marks, axes)
    axes = replace(axes, top=axes.top + ROW * len(set(rows)))
    parts = [*_bands(bands, axes), *_grid(axes, list(zip(ticks, names, strict=True))), *legend]
    parts += [_line(each, axes, number) for number, each in enumerate(shown)]
    parts += [_mark(mark, axes, y=ROW * (legend_rows + row + 1) - 4) for mark, row in zip(marks, rows, strict=True)]
    height = axes.bottom + ROW * (3 if bands else 2) + 8
    parts.append(_text((left + RIGHT) / 2, height - 6, x_label, kind="axis"))
    parts.append(_text(12, axes.top + PLOT_HEIGHT / 2, y_label, kind="axis", upright=True))
    return Markup(
        f'<svg class="curve" role="img" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}">'
        f"<title>{escape(title)}</title><desc>{escape(_description(shown, marks, x_label, percent=percent))}</desc>"
        f"{''.join(parts)}</svg>"
    )


def training_plots(training: Mapping[str, Any]) -> TrainingPlots:
    """The plots for the `training` section of a report, in its JSON form; a figure that is None leaves a gap."""
    epochs, chosen = training["epochs"], training["chosen_epoch"]
    rising = training["curve"]["overfitting_start"]
    choice = [] if chosen is None else [Mark(chosen, f"chosen: epoch {chosen}")]
    rise = [] if rising is None else [Mark(rising, f"loss rises from epoch {rising}")]
    stages = [(stage, list(rows)) for stage, rows in itertools.groupby(epochs, lambda row: row["stage"])]
    bands = [Band(rows[0]["epoch"], rows[-1]["epoch"], stage) for stage, rows in stages]
    losses = [epoch_series(epochs, "training_loss"), epoch_series(epochs, "validation_loss")]
    accuracy = [epoch_series(epochs, "validation_accuracy")]
    return TrainingPlots(
        curve_svg(losses, title="Loss per epoch", marks=choice + rise, bands=bands, y_label="loss in nats"),
        curve_svg(accuracy, title="Accuracy per epoch", marks=choice, bands=bands, y_label="accuracy", percent=True),
    )


def gain_plot(transferred: Sequence[Mapping[str, Any]], scratch: Sequence[Mapping[str, Any]]) -> Markup:
    """Validation accuracy after every epoch, with pretrained weights (if they were trained at all) and from nothing."""
    both = [epoch_series(transferred, "validation_accuracy", name="transferred")] if transferred else []
    both.append(epoch_series(scratch, "validation_accuracy", name="from scratch"))
    return curve_svg(both, title="Transferred and from scratch", y_label="validation accuracy", percent=True)


def epoch_series(epochs: Sequence[Mapping[str, Any]], field: str, *, name: str | None = None) -> Series:
    """One figure of every epoch, as a line; None is a gap."""
    x = np.array([row["epoch"] for row in epochs], dtype=np.float64)
    y = np.array([row[field] for row in epochs], dtype=np.float64)  # NumPy reads None as NaN
    return Series(name or field.replace("_", " "), x, y)


def _x_limits(series: Sequence[Series], bands: Sequence[Band]) -> tuple[float, float]:
    ends = [float(each.x[place]) for each in series if len(each.x) for place in (0, -1)]
    ends += [float(end) for band in bands for end in (band.start, band.end)]
    return (min(ends) - 0.5, max(ends) + 0.5) if ends else (0.5, 1.5)


def _value_ticks(values: Float[np.ndarray, "M"], *, percent: bool) -> list[float]:
    values = values[~np.isnan(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    low = low if percent else min(0.0, low)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = (max(0.0, low - 0.05), min(1.0, high + 0.05)) if percent else (low, low + 1.0)
    step = nice_step((high - low) / 5)
    return [step * k for k in range(int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9)) + 1)]


def nice_step(least: float | int) -> float:
    """The smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, … that is at least `least`."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9)))


def _tick_text(tick: float, ticks: Sequence[float], *, percent: bool) -> str:
    scale = 100 if percent else 1
    decimals = max(0, -int(np.floor(np.log10(scale * (ticks[1] - ticks[0])) + 1e-9)))
    return f"{scale * tick:,.{decimals}f}" + (" %" if percent else "")


def _grid(axes: _Axes, ticks: Sequence[tuple[float, str]]) -> list[str]:
    parts = []
    for value, name in ticks:
        y = axes.y(value)
        parts.append(f'<path class="grid" d="M{axes.left:.0f} {y:.1f}H{RIGHT}"/>')
        parts.append(_text(axes.left - 8, y + 4, name, anchor="end"))
    first, last = round(axes.x_limits[0] + 0.5), round(axes.x_limits[1] - 0.5)
    step = max(1, round(nice_step(max(1, last - first) / 8)))
    for x in range(-(-first // step) * step, last + 1, step):
        parts.append(_text(axes.x(x), axes.bottom + 16, f"{x:,}"))
    return parts


def _bands(bands: Sequence[Band], axes: _Axes) -> list[str]:
    parts, height = [], PLOT_HEIGHT + 2 * ROW + 2
    for number, band in enumerate(bands):
        x, width = axes.x(band.start - 0.5), axes.x(band.end + 0.5) - axes.x(band.start - 0.5)
        fits = int((width - 6) / CHARACTER_PIXELS)
        name = band.name if len(band.name) <= fits else f"{band.name[: fits - 1]}…" if fits >= 3 else ""
        shade = (
            f'<rect class="band-{number % 2}" x="{x:.1f}" y="{axes.top:.0f}" width="{width:.1f}" height="{height}"/>'
        )
        words = _text(x + width / 2, axes.bottom + 2 * ROW - 3, name) if name else ""
        parts.append(f"<g><title>{escape(band.name)}</title>{shade}{words}</g>")
    return parts


def _legend(names: Sequence[str]) -> tuple[list[str], int]:
    parts, x, row = [], 30.0, 0
    for number, name in enumerate(names):
        needed = 32 + len(name) * CHARACTER_PIXELS
        if x > 30 and x + needed > WIDTH:
            x, row = 30.0, row + 1
        y = ROW * (row + 1) - 4
        parts.append(f'<path {_look(number)} d="M{x:.0f} {y - 4}h26"/>{_text(x + 32, y, name, anchor="start")}')
        x += needed + 18
    return parts, row + 1


def _look(number: int) -> str:
    kind = number % len(DASHES)
    return f'class="line-{kind}" stroke-dasharray="{DASHES[kind]}"'


def _label_place(mark: Mark, axes: _Axes) -> tuple[float, float]:
    """Where a mark's words begin and end: around its line, but inside the picture."""
    width = len(mark.label) * CHARACTER_PIXELS
    start = min(max(axes.x(mark.x) - width / 2, 0.0), max(0.0, WIDTH - width))
    return start, start + width


def _mark_rows(marks: Sequence[Mark], axes: _Axes) -> list[int]:
    rows: list[int] = []
    places = [_label_place(mark, axes) for mark in marks]
    for number, (start, end) in enumerate(places):
        taken = {rows[k] for k in range(number) if start < places[k][1] + 8 and places[k][0] < end + 8}
        rows.append(next(row for row in itertools.count() if row not in taken))
    return rows


def _mark(mark: Mark, axes: _Axes, *, y: float | int) -> str:
    x, (start, end) = axes.x(mark.x), _label_place(mark, axes)
    line = f'<path class="mark" d="M{x:.1f} {y + 3:.0f}V{axes.bottom:.0f}"/>'
    return line + _text((start + end) / 2, y, mark.label, kind="mark-name")


def _thinned(series: Series) -> Series:
    if len(series.x) <= MOST_POINTS:
        return series
    kept = {0, len(series.x) - 1}
    for places in np.array_split(np.arange(len(series.x)), MOST_POINTS // 2):
        values = series.y[places]
        empty = bool(np.isnan(values).all())
        kept |= {int(places[0])} if empty else {int(places[np.nanargmin(values)]), int(places[np.nanargmax(values)])}
    order = sorted(kept)
    return Series(series.name, series.x[order], series.y[order])


def _line(series: Series, axes: _Axes, number: int) -> str:
    series, path, dots = _thinned(series), "", ""
    known = ~np.isnan(series.y)
    for k in np.flatnonzero(known).tolist():
        x, y = f"{axes.x(series.x[k]):.1f}", f"{axes.y(series.y[k]):.1f}"
        begins, ends = k == 0 or not known[k - 1], k + 1 == len(known) or not known[k + 1]
        path += f"{'M' if begins else 'L'}{x} {y}"
        if begins and ends:
            dots += f'<circle class="dot-{number % len(DASHES)}" cx="{x}" cy="{y}" r="3.5"/>'
    return f'<path {_look(number)} d="{path}"/>{dots}'


def _description(series: Sequence[Series], marks: Sequence[Mark], x_label: str, *, percent: bool) -> str:
    written = percent_text if percent else as_decimal
    sentences = []
    for each in series:
        known = np.flatnonzero(~np.isnan(each.y))
        if not len(known):
            sentences.append(f"{each.name}: not measured")
            continue
        first, last = ((written(float(each.y[k])), f"{x_label} {each.x[k]:g}") for k in (known[0], known[-1]))
        low, high = written(float(np.nanmin(each.y))), written(float(np.nanmax(each.y)))
        sentences.append(f"{each.name}: {first[0]} at {first[1]}, {last[0]} at {last[1]}, from {low} to {high}")
    return ". ".join(sentences + [mark.label for mark in marks]) + "."


def _text(
    x: float | int, y: float | int, text: str, *, anchor: str = "middle", kind: str = "name", upright: bool = False
) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upright else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'
