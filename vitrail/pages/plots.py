"""Plots as inline SVG: no script, colours from the page's own palette, a title and a description in each.

Text is drawn at its final size (the SVG is never scaled), so it stays readable on a phone; wide plots scroll in their
own box. Bars carry no text and stretch with their cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from markupsafe import Markup, escape

from vitrail.basics.printable import printable
from vitrail.pages.numbers import measure_text, percent

LARGEST_MATRIX = 30
"""Classes up to which the confusion matrix is drawn in full."""

CHARACTER_PIXELS = 6.6
"""Upper estimate of a character's width at 12 px in the system fonts."""


@dataclass(frozen=True)
class Confusion:
    """How often images of the class `true` were taken for `predicted`; `share` is of all images of `true`."""

    true: str
    predicted: str
    count: int
    share: float


def top_confusions(matrix: Int[np.ndarray, "K K"], classes: Sequence[str], *, most: int = 15) -> tuple[Confusion, ...]:
    """The most frequent mistakes, most images first; ties in the order of the classes."""
    mistakes = matrix * (1 - np.eye(len(classes), dtype=matrix.dtype))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    pairs = [divmod(int(position), len(classes)) for position in order]
    return tuple(
        Confusion(classes[i], classes[j], int(matrix[i, j]), float(matrix[i, j] / matrix[i].sum()))
        for i, j in pairs
        if mistakes[i, j] > 0
    )


def confusion_svg(matrix: Int[np.ndarray, "K K"], classes: Sequence[str]) -> Markup:
    """A heat table: rows are true classes, columns predicted ones, colour is the share of the row.

    Right answers are coloured in the accent, mistakes in the warning colour. For up to about 30 classes; beyond,
    show `top_confusions`.
    """
    classes = [printable(name) for name in classes]
    K = len(classes)
    cell = 68 if K <= 3 else 50 if K <= 6 else 38 if K <= 14 else 30
    names = [_shortened(name, 22 if K <= 6 else 16) for name in classes]
    longest = max(map(len, names)) * CHARACTER_PIXELS
    left = round(longest) + 34
    slanted = longest > cell - 6
    top = 30 + (round(longest * 0.72) + 14 if slanted else 20)
    right = round(longest * 0.72) if slanted else 4
    places = [(i, j, left + j * cell, top + i * cell) for i in range(K) for j in range(K)]
    side = cell - 2
    # One path for all empty places: 900 rectangles would weigh more than the rest of the page.
    parts = [f'<path class="cell" d="{"".join(f"M{x} {y}h{side}v{side}h-{side}z" for _, _, x, y in places)}"/>']
    parts += [_filled(matrix, classes, i, j, x=x, y=y, side=side) for i, j, x, y in places if matrix[i, j]]
    for k, name in enumerate(names):
        middle = cell * k + cell // 2
        parts.append(_text(left - 10, top + middle + 4, name, "end"))
        parts.append(_text(left + middle, top - 10, name, "start" if slanted else "middle", slanted=slanted))
    parts.append(_text(left, 14, "predicted →", "start", kind="axis"))
    parts.append(_text(14, top + K * cell // 2, "true", "middle", kind="axis", upright=True))
    width, height = left + K * cell + right, top + K * cell + 4
    total, right_ones = int(matrix.sum()), int(np.trace(matrix))
    return Markup(
        f'<svg class="matrix" role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"<title>Confusion matrix</title><desc>{K} classes, {total:,} images, {right_ones:,} on the diagonal, "
        f"that is rightly classified.</desc>{''.join(parts)}</svg>"
    )


def interval_bar(measure: Mapping[str, Any], *, baseline: float | None = None) -> Markup:
    """A measure between 0 and 1 as a bar with its interval, stretching over the whole width it is given.

    Args:
        measure: in its JSON form; an undefined one gives an empty track.
        baseline: drawn as a thin line across, for instance the majority class.
    """
    value, low, high = measure["value"], measure["low"], measure["high"]
    parts = ['<rect class="track" width="100" height="20"/>']
    if value is not None:
        parts.append(f'<rect class="bar" width="{100 * value:.2f}" height="20"/>')
    if low is not None and high is not None:
        x, width = 100 * low, 100 * (high - low)
        parts.append(f'<rect class="interval" x="{x:.2f}" y="7" width="{width:.2f}" height="6"/>')
    if baseline is not None:
        parts.append(f'<path class="baseline" d="M{100 * baseline:.2f} 0V20"/>')
    description = measure_text(measure) + ("" if baseline is None else f"; majority class {percent(baseline)}")
    return Markup(
        '<svg class="bars" role="img" viewBox="0 0 100 20" preserveAspectRatio="none">'
        f"<title>{escape(measure['name'])}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def _filled(
    matrix: Int[np.ndarray, "K K"], classes: Sequence[str], i: int, j: int, *, x: int, y: int, side: int
) -> str:
    count, row = int(matrix[i, j]), int(matrix[i].sum())
    kind, title = ("right", f"{classes[i]} recognised") if i == j else ("wrong", f"{classes[i]} taken for {classes[j]}")
    # With no visible floor a single mistake among thousands would vanish.
    strength = 0.12 + 0.88 * count / row
    label = f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"
    strong = " strong" if strength > 0.55 else ""
    return (
        f"<g><title>{escape(title)}: {count:,} of {row:,}</title>"
        f'<rect class="{kind}" fill-opacity="{strength:.2f}" x="{x}" y="{y}" width="{side}" height="{side}"/>'
        f'<text class="count{strong}" x="{x + side // 2}" y="{y + side // 2 + 4}">{label}</text></g>'
    )


def _text(
    x: int, y: int, text: str, anchor: str, *, kind: str = "name", slanted: bool = False, upright: bool = False
) -> str:
    turn = f' transform="rotate({-45 if slanted else -90} {x} {y})"' if slanted or upright else ""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'


def _shortened(name: str, most: int) -> str:
    """Cut in the middle: long class names of one set mostly begin alike and differ at the end."""
    kept = most - 1
    return name if len(name) <= most else f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"
