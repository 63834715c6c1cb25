"""Plasma: clouds that look alike at every scale, for backgrounds."""

import math

import numpy as np
from jaxtyping import Float


def plasma(size: int, *, decay: float, dice: np.random.Generator) -> Float[np.ndarray, "S S"]:
    """A cloudy picture of `size` × `size` pixels, from 0 at its darkest to 1 at its brightest point."""
    levels = max(1, math.ceil(math.log2(size - 1)))
    clouds = diamond_square(dice.uniform(-1, 1, (2, 2)), levels=levels, decay=decay, dice=dice)[:size, :size]
    clouds = clouds - clouds.min()
    return clouds / max(float(clouds.max()), 1e-12)


def diamond_square(
    corners: Float[np.ndarray, "2 2"], *, levels: int, decay: float, dice: np.random.Generator
) -> Float[np.ndarray, "S S"]:
    """Heights of a square of side 2^levels + 1 between four given corners.

    At every level each square's middle becomes the mean of its four corners, then each edge's middle the mean of its
    neighbours (three at the border), both with a uniform draw from [-1, 1] · decay^level added.

    Source: A. Fournier, D. Fussell and L. Carpenter, "Computer Rendering of Stochastic Models", 1982; decay 0.4 to 0.8
    as Anderson and Farrell 2022, arXiv:2110.03091, for backgrounds.
    """
    heights = np.array(corners, dtype=np.float64)
    for level in range(1, levels + 1):
        reach = decay**level
        side = 2 * len(heights) - 1
        finer = np.zeros((side, side))
        finer[::2, ::2] = heights
        middles = (heights[:-1, :-1] + heights[:-1, 1:] + heights[1:, :-1] + heights[1:, 1:]) / 4
        finer[1::2, 1::2] = middles + dice.uniform(-reach, reach, middles.shape)
        _set_edges(finer, reach, dice)
        heights = finer
    return heights


def _set_edges(heights: np.ndarray, reach: float, dice: np.random.Generator) -> None:
    """Give the points between corners (along rows, then along columns) the mean of their neighbours and a draw."""
    beyond = np.pad(heights, 1)
    means = (beyond[:-2, 1:-1] + beyond[2:, 1:-1] + beyond[1:-1, :-2] + beyond[1:-1, 2:]) / 4
    for border in (0, -1):
        means[border] *= 4 / 3
        means[:, border] *= 4 / 3
    for edges in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        heights[edges] = means[edges] + dice.uniform(-reach, reach, means[edges].shape)
