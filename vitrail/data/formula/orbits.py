"""Closed curves around one another: how they grow, how they tremble, how they are drawn."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from vitrail.data.formula.shapes import Placement

CANVAS = 100
"""Side in pixels of the square on which orbits are counted, a fifth of the papers' 512.

Lines then stand as far apart in an image of some hundred pixels as theirs do in one of 512: one orbit takes the place
of five. So there are a fifth as many, they begin at a fifth of the radius, and grow by as many pixels each."""

NOISE_SHARE = 5**-0.5
"""Noise of one orbit, as a share of the papers': five independent steps tremble by the root of five steps' length."""

SMALLEST = 0.6
"""Share of the canvas that a shape reaches at least, in an image that shows one; smaller ones are enlarged."""

DARKEST = 40
"""Least grey of a line (papers: 0, where an image of a single line may show nothing)."""

_SLOPES = np.array([*range(1, 9), *8 * [-1]], np.float32)

_BRIGHTER = [min(255, round(1.6 * level)) for level in range(256)]
"""Lines of one pixel in twice the size have lost half their brightness in the image."""


def angles(count: int) -> Float[np.ndarray, " V"]:
    """`count` directions around a circle, 2 pi v / V."""
    return np.arange(count, dtype=np.float32) * np.float32(2 * np.pi / count)


def gradient_noise(shape: tuple[int, ...], dice: np.random.Generator) -> Float[np.ndarray, "*shape"]:
    """Values of one-dimensional gradient noise at places that have nothing to do with each other.

    Between two whole places with slopes g0 and g1, at t in [0, 1): 0.4 ((1 - f) g0 t + f g1 (t - 1)) with
    f = t³ (t (6 t - 15) + 10). A slope is -1 in half of the cases, else a whole number from 1 to 8. The mean is 0, the
    standard deviation 0.32, and all values lie between -0.953 and 0.953.

    Source: K. Perlin, "Improving Noise", 2002, in one dimension, with the slopes of the package `noise`, which both
    papers use. They ask it for a new place every time; so neighbours have nothing in common.
    """
    t = dice.random(shape, dtype=np.float32)
    slopes = _SLOPES[dice.integers(0, len(_SLOPES), (2, *shape))]
    f = t * t * t * (t * (6 * t - 15) + 10)
    return np.float32(0.4) * ((1 - f) * slopes[0] * t + f * slopes[1] * (t - 1))


def nested_orbits(
    radius: float, oval: tuple[float, float], steps: Float[np.ndarray, "2 L V"]
) -> Float[np.ndarray, "2 L V"]:
    """Corners of L closed curves around (0, 0): beginning at an ellipse, each goes a step farther out than the last.

    Args:
        radius: of the ellipse that the first step leaves.
        oval: factors of the radius in x and y.
        steps: of every curve and corner, in x and y; they are multiplied by the corner's direction.
    """
    theta = angles(steps.shape[2])
    direction = np.stack([np.cos(theta), np.sin(theta)])[:, None, :]
    start = direction * radius * np.array(oval).reshape(2, 1, 1)
    return (start + (direction * steps).cumsum(axis=1)).astype(np.float32)


def drawn_greys(count: int, dice: np.random.Generator) -> UInt8[np.ndarray, " L"]:
    """A grey for each of `count` lines, uniform."""
    return dice.integers(DARKEST, 256, count, dtype=np.uint8)


def drawn_orbits(
    orbits: Float[np.ndarray, "2 L V"],
    levels: UInt8[np.ndarray, " L"],
    size: int,
    placement: Placement,
) -> UInt8[np.ndarray, "S S"]:
    """Draw L closed curves of V corners each; later ones cover earlier ones.

    Args:
        orbits: x and y of the corners, in pixels of the canvas, with (0, 0) in its middle.
        levels: grey of every curve.
        size: height and width of the result in pixels.
        placement: where in it the canvas stands. A shape that is larger than the canvas, or a small part of it, is
            scaled first.
    """
    reach = float(np.abs(orbits).max())
    side = 2 * min(max(reach, CANVAS / 2), reach / SMALLEST)
    centre = 2 * size * np.array([placement.x, placement.y])
    closed = np.concatenate([orbits, orbits[:, :, :1]], axis=2).transpose(1, 2, 0)
    corners = np.ascontiguousarray(closed * (2 * size * placement.extent / side) + centre, np.float32)
    image = Image.new("L", (2 * size, 2 * size))
    draw = ImageDraw.Draw(image)
    for orbit, level in zip(corners, levels.tolist(), strict=True):
        # Pillow reads numbers of four bytes where they lie; as a list they would take five times as long.
        draw.line(orbit, fill=level)
    return np.asarray(image.reduce(2).point(_BRIGHTER))
