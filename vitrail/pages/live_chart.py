"""Small charts of the last minutes as inline SVG that stretch with their place: words stand around them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from vitrail.pages.curves import nice_step

HEIGHT = 100
"""Of the drawing's own scale: 0 is at the bottom, the top of the scale at its upper edge."""


@dataclass(frozen=True)
class LiveChart:
    """A chart and the words beside it.

    Attributes:
        drawing: the SVG.
        top: what its upper edge means.
        now: the latest value; None where there is none.
    """

    drawing: Markup
    top: str
    now: str | None


def live_charts(
    values: Sequence[Sequence[float | None]], *, title: str, words: Callable[[float], str], bars: bool = False
) -> list[LiveChart]:
    """Charts on one scale, which begins at 0, so that they can be compared.

    Args:
        values: one sequence a chart, oldest first; None leaves a gap.
        title: what is drawn, for those who cannot see it.
        words: how a value is said.
        bars: whether counts are drawn as bars; else a line.
    """
    highest = max((value for each in values for value in each if value is not None), default=0.0)
    top = nice_step(highest) if highest > 0 else 1.0
    return [
        LiveChart(_drawing(each, top, title, words, bars), words(top) if highest > 0 else "", _now(each, words))
        for each in values
    ]


def _now(values: Sequence[float | None], words: Callable[[float], str]) -> str | None:
    return None if not values or values[-1] is None else words(values[-1])


def _drawing(
    values: Sequence[float | None], top: float, title: str, words: Callable[[float], str], bars: bool
) -> Markup:
    said = f"{title}: {_description(values, words)}"
    drawn = _bars(values, top) if bars else _line(values, top)
    return Markup(
        f'<svg class="live-chart" role="img" aria-label="{escape(said)}" viewBox="0 0 {max(1, len(values))} {HEIGHT}" '
        f'preserveAspectRatio="none"><title>{escape(said)}</title>{drawn}</svg>'
    )


def _description(values: Sequence[float | None], words: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "nothing yet"
    latest = "none" if values[-1] is None else words(values[-1])
    return f"now {latest}, highest {words(max(known))}"


def _line(values: Sequence[float | None], top: float) -> str:
    line, area, begun = "", "", 0.0
    for number, value in enumerate(values):
        if value is None:
            continue
        x, y = number + 0.5, HEIGHT * (1 - value / top)
        begins = number == 0 or values[number - 1] is None
        ends = number + 1 == len(values) or values[number + 1] is None
        begun = x if begins else begun
        line += f"{'M' if begins else 'L'}{x:g} {y:.1f}" + ("h0" if begins and ends else "")
        area += (f"M{x:g} {HEIGHT}L" if begins else "L") + f"{x:g} {y:.1f}" + (f"V{HEIGHT}H{begun:g}z" if ends else "")
    return f'<path class="area" d="{area}"/><path class="line" d="{line}"/>'


def _bars(values: Sequence[float | None], top: float) -> str:
    return "".join(
        f'<rect class="count" x="{number + 0.1:g}" y="{HEIGHT * (1 - value / top):.1f}" width="0.8" '
        f'height="{HEIGHT * value / top:.1f}"/>'
        for number, value in enumerate(values)
        if value
    )
