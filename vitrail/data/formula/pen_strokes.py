"""Pen strokes: characters of no script, each a few smooth curves, written anew by another hand every time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from vitrail.data.formula.shapes import Placement

FEWEST_STROKES, MOST_STROKES = 1, 4
FEWEST_POINTS, MOST_POINTS = 2, 5
"""Of the points that a stroke goes through."""

_BETWEEN = 8
"""Straight pieces of a stroke between two of its points."""

_REACH = 0.8
"""How far from the middle the farthest points lie, where the image's border is 1."""

_FINER = 2
"""The image is drawn so many times larger and averaged."""


@dataclass(frozen=True)
class PenStrokes:
    """Curves through points in the square from -1 to 1; between points p1 and p2 with neighbours p0 and p3, at t,

        (2 p1 + (p2 - p0) t + (2 p0 - 5 p1 + 4 p2 - p3) t² + (3 p1 - p0 - 3 p2 + p3) t³) / 2

    Source: the curve is that of E. Catmull and R. Rom, "A Class of Local Interpolating Splines", 1974. That such
    characters, drawn with a hand's variation, make classes to learn from is after B. Lake et al., "Human-level Concept
    Learning through Probabilistic Program Induction", Science 2015; numbers and variation are ours.

    Attributes:
        strokes: points (P, 2) of each stroke, x and y.
        tremble: standard deviation of a point between two renderings.
    """

    strokes: tuple[np.ndarray, ...]
    tremble: float

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "PenStrokes":
        """One to four strokes; each begins anywhere or at a point of the last, and wanders in its direction."""
        strokes: list[np.ndarray] = []
        for _ in range(int(dice.integers(FEWEST_STROKES, MOST_STROKES + 1))):
            joined = strokes and dice.random() < 0.5
            start = strokes[-1][dice.integers(len(strokes[-1]))] if joined else dice.uniform(-0.9, 0.9, 2)
            strokes.append(_wandered(start, dice))
        points = np.concatenate(strokes)
        low, high = points.min(axis=0), points.max(axis=0)
        scale = _REACH / max(float((high - low).max()) / 2, 0.1)
        centred = tuple(scale * (stroke - (low + high) / 2) for stroke in strokes)
        return cls(centred, tremble=dice.uniform(0.03, 0.08))

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance: points tremble, the whole is slanted, stretched and turned a little; one pen for all."""
        bend = np.eye(2) + dice.normal(0, 0.12, (2, 2))
        width = max(1, round(_FINER * size * placement.extent * dice.uniform(0.03, 0.11)))
        level = int(dice.integers(120, 256))
        image = Image.new("L", (_FINER * size, _FINER * size))
        draw = ImageDraw.Draw(image)
        middle = np.array([placement.x, placement.y])
        for points in self.strokes:
            written = (points + dice.normal(0, self.tremble, points.shape)) @ bend
            line = _FINER * size * (middle + placement.extent / 2 * curve_through(written))
            draw.line([(x, y) for x, y in line.tolist()], fill=level, width=width, joint="curve")
        return np.asarray(image.reduce(_FINER))


def curve_through(points: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "Q 2"]:
    """A smooth curve through all points, from the first to the last; the ends are their own neighbours."""
    before, behind = np.concatenate([points[:1], points]), np.concatenate([points, points[-1:]])
    p0, p1, p2, p3 = (part[:, None] for part in (before[:-2], points[:-1], points[1:], behind[2:]))
    t = np.linspace(0, 1, _BETWEEN, endpoint=False)[None, :, None]
    pieces = (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3) / 2
    return np.concatenate([pieces.reshape(-1, 2), points[-1:]])


def _wandered(start: np.ndarray, dice: np.random.Generator) -> Float[np.ndarray, "P 2"]:
    """Points a step apart, each step turned against the last; what would leave the square stays at its border."""
    count, direction = int(dice.integers(FEWEST_POINTS, MOST_POINTS + 1)), dice.uniform(0, 2 * np.pi)
    turning = dice.uniform(-1.8, 1.8)
    points = [np.asarray(start, np.float64)]
    for _ in range(count - 1):
        step = dice.uniform(0.4, 1.2) * np.array([np.cos(direction), np.sin(direction)])
        points.append(np.clip(points[-1] + step, -0.95, 0.95))
        direction += turning + dice.normal(0, 0.5)
    return np.stack(points)
