"""Fractals: the attractors of a few affine maps of the plane that only ever shrink."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vitrail.data.formula.shapes import Placement

FEWEST_MAPS, MOST_MAPS = 2, 4
"""FractalDB has 2 to 7; more than four draw many shapes over one another, and in a small image they look alike."""

_BURN_IN, _STEPS = 8, 24
_POINTS_PER_PIXEL, _FEWEST_CHAINS = 4, 64
_TRIES = 4


@dataclass(frozen=True, eq=False)
class IteratedFunctionSystem:
    """M affine maps x -> A x + b of the plane; iterating them at random fills their attractor.

    No map of a drawn system stretches any direction: a system that does not shrink has no attractor, and gives dust.

    Attributes:
        maps: (M, 2, 3), the matrix A and behind it the shift b of every map.

    Source: the random iteration of M. Barnsley, "Fractals Everywhere", 1988, and FractalDB (H. Kataoka et al.,
    "Pre-training without Natural Images", 2020, arXiv:2101.08515) with p_i ~ |det A_i|; systems that contract by
    construction: C. Anderson and R. Farrell, "Improving Fractal Pre-training", 2022, arXiv:2110.03091.
    """

    maps: Float[np.ndarray, "M 2 3"]

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "IteratedFunctionSystem":
        """A system of 2 to 4 maps: A = R(t1) diag(s1, s2) R(t2) diag(±1, ±1), with b uniform in [-1, 1]²."""
        count = int(dice.integers(FEWEST_MAPS, MOST_MAPS + 1))
        factor = dice.uniform((5 + count) / 2, (6 + count) / 2)
        stretches = drawn_singular_values(factor, count, dice)
        before, after = _turns(dice.uniform(-np.pi, np.pi, (2, count)))
        mirrors = dice.choice([-1.0, 1.0], (count, 2))
        matrices = after * stretches[:, None, :] @ before * mirrors[:, None, :]
        return cls(np.concatenate([matrices, dice.uniform(-1, 1, (count, 2, 1))], axis=2))

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance as the density of its points: brighter where they fall more often."""
        chains = round(_POINTS_PER_PIXEL * (placement.extent * size) ** 2 / _STEPS)
        points = attractor_points(self.jittered(dice).maps, dice, chains=max(chains, _FEWEST_CHAINS))
        low = points.min(axis=1, keepdims=True)
        scale = placement.extent * size / np.maximum(points.max(axis=1, keepdims=True) - low, 1e-6)
        corner = size * (np.array([[placement.x], [placement.y]], np.float32) - placement.extent / 2)
        # A frame of one pixel catches what falls outside, and is cut off.
        column, row = np.clip(points * scale + (corner - low * scale + 1), 0, size + 1).astype(np.intp)
        counts = np.bincount(row * (size + 2) + column, minlength=(size + 2) ** 2).reshape(size + 2, size + 2)
        return _levels(counts[1:-1, 1:-1])

    def jittered(self, dice: np.random.Generator) -> "IteratedFunctionSystem":
        """A neighbour that still contracts: one of the six numbers of every map is multiplied by 0.85 to 1.15.

        Source: the instances of FractalDB (weights 0.8, 0.9, 1.1 and 1.2). As in Anderson and Farrell's
        jitter, a neighbour that stretches is not taken; after four of them the instance is the class itself.
        """
        for _ in range(_TRIES):
            maps = self.maps.copy()
            maps.reshape(len(maps), 6)[:, dice.integers(6)] *= dice.uniform(0.85, 1.15)
            if singular_values(maps[:, :, :2]).max() <= 1:
                return IteratedFunctionSystem(maps)
        return self


def drawn_singular_values(factor: float, count: int, dice: np.random.Generator) -> Float[np.ndarray, "M 2"]:
    """Singular values 1 >= s1 >= s2 >= 0 of `count` maps with the sum of all s1 + 2 s2 equal to `factor`.

    Args:
        factor: from 0 to 3 · count. Anderson and Farrell find that (5 + M) / 2 to (6 + M) / 2 gives rich shapes.
        count: number of maps M.
        dice: where draws come from.

    Source: Anderson and Farrell 2022. Every draw is bounded by what the maps behind it can still take, 3 each.
    """
    left, values = factor, np.empty((count, 2))
    for number in range(count - 1):
        needed = left - 3 * (count - 1 - number)
        first = dice.uniform(max(0.0, needed / 3), min(1.0, left))
        second = dice.uniform(max(0.0, (needed - first) / 2), min(first, (left - first) / 2))
        values[number] = first, second
        left -= first + 2 * second
    second = dice.uniform(max(0.0, (left - 1) / 2), left / 3)
    values[-1] = left - 2 * second, second
    return values


def singular_values(matrices: Float[np.ndarray, "M 2 2"]) -> Float[np.ndarray, "M 2"]:
    """Singular values of 2 × 2 matrices, the larger ones first, in closed form."""
    a, b, c, d = matrices.reshape(-1, 4).T
    sums, turns = np.hypot(a + d, c - b), np.hypot(a - d, c + b)
    return np.stack([sums + turns, np.abs(sums - turns)], axis=1) / 2


def attractor_points(
    maps: Float[np.ndarray, "M 2 3"], dice: np.random.Generator, *, chains: int
) -> Float[np.ndarray, "2 points"]:
    """Points of the attractor, 24 of each of many chains; map i is chosen in proportion to |det A_i|.

    Every chain starts on the attractor, in the fixed point of the first map, so that no point lies beside it; a few
    steps that are not kept let the chains forget where they began.
    """
    weights = np.abs(np.linalg.det(maps[:, :, :2]))
    draws = dice.random((_BURN_IN + _STEPS, chains), dtype=np.float32)
    chosen = np.zeros(draws.shape, np.intp)
    for limit in np.cumsum(weights[:-1] / weights.sum()).astype(np.float32):
        chosen += draws >= limit
    a, b, e, c, d, f = np.take(maps.astype(np.float32).reshape(-1, 6).T, chosen, axis=1)
    x, y = np.repeat(fixed_point(maps[0])[:, None].astype(np.float32), chains, axis=1)
    points = np.empty((2, _STEPS, chains), np.float32)
    for step in range(_BURN_IN + _STEPS):
        x, y = a[step] * x + b[step] * y + e[step], c[step] * x + d[step] * y + f[step]
        if step >= _BURN_IN:
            points[:, step - _BURN_IN] = x, y
    return points.reshape(2, -1)


def fixed_point(single: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2"]:
    """The point that a map leaves where it is: (I - A)⁻¹ b."""
    return np.linalg.solve(np.eye(2) - single[:, :2], single[:, 2])


def _turns(angles: Float[np.ndarray, "2 M"]) -> Float[np.ndarray, "2 M 2 2"]:
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def _levels(counts: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    """Grey levels of how many points fell on each pixel: logarithmic, for a few pixels get most of the points."""
    levels = np.log1p(np.arange(counts.max() + 1)) * (175 / np.log1p(max(counts.max(), 1))) + 80
    levels[0] = 0
    return levels.astype(np.uint8)[counts]
