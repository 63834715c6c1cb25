"""How far each head looks, layer by layer, as the ViT paper draws it: inline SVG in the page's own colours."""

from collections.abc import Sequence

from markupsafe import Markup

from vitrail.pages.plots import CHARACTER_PIXELS

_LEFT, _TOP, _HEIGHT, _STEP, _BELOW = 58, 12, 220, 30, 44


def reach_svg(distances: Sequence[Sequence[float | None]], *, even: float) -> Markup:
    """One dot for every head, layers from left to right.

    Args:
        distances: mean distance by layer and head, in patches; None is left out.
        even: what a head that looks at all patches alike would have, drawn as a line.
    """
    known = [value for layer in distances for value in layer if value is not None]
    most = max([*known, even, 1e-9]) * 1.08
    step = max(_STEP, min(60, 380 // max(1, len(distances))))
    width, height = _LEFT + step * len(distances) + 12, _TOP + _HEIGHT + _BELOW
    bottom = _TOP + _HEIGHT

    def y(value: float) -> float:
        return bottom - _HEIGHT * value / most

    ticks = _ticks(most)
    parts = [
        f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{width - 12}"/>'
        f'<text class="name" x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in ticks
    ]
    parts.append(f'<path class="mark" d="M{_LEFT} {y(even):.1f}H{width - 12}"/>')
    words = "looks everywhere alike"
    place = min(_LEFT + 4, width - 12 - len(words) * CHARACTER_PIXELS)
    parts.append(f'<text class="mark-name" x="{place:.0f}" y="{y(even) - 5:.1f}">{words}</text>')
    for number, layer in enumerate(distances):
        x = _LEFT + step * (number + 0.5)
        parts += [
            f'<circle class="dot-0" fill-opacity="0.7" cx="{x:.1f}" cy="{y(value):.1f}" r="4"><title>layer {number}, '
            f"head {head}: {value:.2f} patches</title></circle>"
            for head, value in enumerate(layer)
            if value is not None
        ]
        parts.append(f'<text class="name" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{number}</text>')
    middle = (_LEFT + width - 12) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{bottom + 37}" text-anchor="middle">layer</text>')
    parts.append(
        f'<text class="axis" x="12" y="{_TOP + _HEIGHT / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {_TOP + _HEIGHT / 2:.0f})">mean distance in patches</text>'
    )
    told = f"{len(distances)} layers; from {min(known, default=0):.2f} to {max(known, default=0):.2f} patches."
    return Markup(
        f'<svg class="curve reach" role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"<title>How far attention reaches, by layer and head</title><desc>{told}</desc>{''.join(parts)}</svg>"
    )


def _ticks(most: float) -> list[float]:
    step = next(each for each in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if most / each <= 6)
    return [step * number for number in range(int(most / step) + 1)]
