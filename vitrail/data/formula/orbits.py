"""Closed curves around one another: how they grow, how they tremble, how they are drawn."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from vitrail.data.formula.shapes import Placement


def angles(count: int) -> Float[np.ndarray, " V"]:
    """`count` directions around a circle, 2 pi v / V."""
    return np.arange(count, dtype=np.float32) * np.float32(2 * np.pi / count)


def gradient_noise(shape: tuple[int, ...], dice: np.random.Generator) -> Float[np.ndarray, "*shape"]:
    """Values of one-dimensional gradient noise at places that have nothing to do with each other.

    Between two whole places with slopes g0 and g1, at t in [0, 1): 0.4 ((1 - f) g0 t + f g1 (t - 1)) with
    f = t³ (t (6 t - 15) + 10); slopes are ±1 to ±8. Mean 0, standard deviation 0.32, always between -0.953 and 0.953.

    Source: K. Perlin, "Improving Noise", 2002, in one dimension.
    """
    t = dice.random(shape, dtype=np.float32)
    slopes = dice.choice(np.array([-8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8], np.float32), (2, *shape))
    f = t * t * t * (t * (6 * t - 15) + 10)
    return np.float32(0.4) * ((1 - f) * slopes[0] * t + f * slopes[1] * (t - 1))


def drawn_orbits(
    orbits: Float[np.ndarray, "2 L V"],
    levels: UInt8[np.ndarray, " L"],
    size: int,
    placement: Placement,
) -> UInt8[np.ndarray, "S S"]:
    """Draw L closed curves of V corners around (0, 0), scaled to fill the placement; later ones cover earlier ones."""
    reach = max(float(np.abs(orbits).max()), 1e-6)
    scale, centre = placement.extent * size / reach, 2 * size * np.array([placement.x, placement.y], np.float32)
    closed = np.concatenate([orbits, orbits[:, :, :1]], axis=2).transpose(1, 2, 0)
    corners = np.ascontiguousarray(closed * np.float32(scale) + centre, np.float32)
    image = Image.new("L", (2 * size, 2 * size))
    draw = ImageDraw.Draw(image)
    for orbit, level in zip(corners, levels.tolist(), strict=True):
        draw.line(orbit, fill=level)
    return np.asarray(image.reduce(2))
