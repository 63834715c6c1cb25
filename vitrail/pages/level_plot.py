"""Shares at named levels as inline SVG: how accuracy falls as something grows, each point with its interval.

Levels stand side by side at equal distances, whatever lies between them: 0, 1 and 25 grey levels would otherwise share
one pixel. Text is drawn at its final size; a plot wider than the screen scrolls in its own box.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from vitrail.pages.curves import DASHES, PLOT_HEIGHT, RIGHT, ROW, WIDTH
from vitrail.pages.numbers import measure_text
from vitrail.pages.plots import CHARACTER_PIXELS

_LEFT = 70
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_APART = 5
"""Pixels between the points of lines at the same level, so that their intervals do not cover each other."""


def level_plot(
    lines: Mapping[str, Sequence[Mapping[str, Any]]], levels: Sequence[str], *, title: str, x_label: str, y_label: str
) -> Markup:
    """Shares from 0 to 100 %, one line per name (up to four), with a bar for each 95 % interval.

    Args:
        lines: a measure, in its JSON form, for every level; an undefined one leaves a gap.
        levels: their names, in order.
        title: for those who cannot see the plot; the description under it says every figure.
        x_label: what the levels are.
        y_label: what the shares are.
    """
    legend, rows = _legend(list(lines))
    top = ROW * rows + 10
    parts = [*_grid(top), *legend]
    for place, name in enumerate(levels):
        parts.append(_text(_x(place, len(levels)), top + PLOT_HEIGHT + 18, name))
    for number, measures in enumerate(lines.values()):
        parts += _line(measures, number, top=top, shift=(number - (len(lines) - 1) / 2) * _APART)
    height = top + PLOT_HEIGHT + 2 * ROW + 10
    parts.append(_text((_LEFT + RIGHT) / 2, height - 6, x_label, kind="axis"))
    parts.append(_text(12, top + PLOT_HEIGHT / 2, y_label, kind="axis", upright=True))
    told = ". ".join(
        f"{name}: " + ", ".join(f"{measure_text(each)} at {level}" for level, each in zip(levels, of, strict=True))
        for name, of in lines.items()
    )
    return Markup(
        f'<svg class="curve" role="img" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}.</desc>{''.join(parts)}</svg>"
    )


def _x(place: float | int, count: int) -> float:
    inner = RIGHT - _LEFT - 40
    return _LEFT + 20 + (inner * place / (count - 1) if count > 1 else inner / 2)


def _y(share: float | int, top: int) -> float:
    return top + PLOT_HEIGHT * (1 - share)


def _grid(top: int) -> list[str]:
    parts = []
    for share in _TICKS:
        y = _y(share, top)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{RIGHT}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{100 * share:.0f} %", anchor="end"))
    return parts


def _line(measures: Sequence[Mapping[str, Any]], number: int, *, top: int, shift: float | int) -> list[str]:
    kind, dash = number % len(DASHES), DASHES[number % len(DASHES)]
    path, points, pen = "", [], "M"
    for place, measure in enumerate(measures):
        if measure["value"] is None:
            pen = "M"
            continue
        x, y = _x(place, len(measures)) + shift, _y(measure["value"], top)
        path, pen = f"{path}{pen}{x:.1f} {y:.1f}", "L"
        points.append(f'<circle class="dot-{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>')
        if measure["low"] is not None and measure["high"] is not None:
            low, high = _y(measure["low"], top), _y(measure["high"], top)
            points.append(f'<path class="line-{kind}" stroke-opacity="0.45" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
    return [f'<path class="line-{kind}" stroke-dasharray="{dash}" d="{path}"/>' if path else "", *points]


def _legend(names: Sequence[str]) -> tuple[list[str], int]:
    parts, x, row = [], 30.0, 0
    for number, name in enumerate(names):
        needed = 32 + len(name) * CHARACTER_PIXELS
        if x > 30 and x + needed > WIDTH:
            x, row = 30.0, row + 1
        y, kind = ROW * (row + 1) - 4, number % len(DASHES)
        look = f'class="line-{kind}" stroke-dasharray="{DASHES[kind]}"'
        parts.append(f'<path {look} d="M{x:.0f} {y - 4}h26"/>{_text(x + 32, y, name, anchor="start")}')
        x += needed + 18
    return parts, row + 1


def _text(
    x: float | int, y: float | int, text: str, *, anchor: str = "middle", kind: str = "name", upright: bool = False
) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upright else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'
