"""A stained-glass band: decoration, drawn from a key, so that every run has a window of its own."""

import itertools

from markupsafe import Markup

from vitrail.basics.seeds import uniform_from

PANES = 48
GLASS = 6
"""Colours in the style sheet, `glass-0` to `glass-5`."""


def stained_window(key: str) -> Markup:
    """A band of glass panes in three rows, the same for the same key; hidden from screen readers."""
    panes = []
    for column in range(PANES):
        lean = 6 * (uniform_from(0, key, column, "lean") - 0.5)
        cuts = [0.0, 10 + 8 * uniform_from(0, key, column, 1), 26 + 8 * uniform_from(0, key, column, 2), 44.0]
        for row, (top, bottom) in enumerate(itertools.pairwise(cuts)):
            colour = int(GLASS * uniform_from(0, key, column, row, "colour"))
            light = 0.55 + 0.45 * uniform_from(0, key, column, row, "light")
            x = 10 * column
            panes.append(
                f'<path class="glass-{colour}" fill-opacity="{light:.2f}" '
                f'd="M{x + lean * 0.1:.1f} {top:.1f}h10L{x + 10 + lean * 0.1:.1f} {bottom:.1f}h-10z"/>'
            )
    return Markup(
        f'<svg class="window" aria-hidden="true" viewBox="0 0 {10 * PANES} 44" preserveAspectRatio="xMidYMid slice">'
        f"{''.join(panes)}</svg>"
    )
