"""Radial contours: polygons around polygons, each a noisy step outside the last."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vitrail.data.formula.orbits import NOISE_SHARE, angles, drawn_orbits, gradient_noise
from vitrail.data.formula.shapes import Placement

FEWEST_CORNERS, MOST_CORNERS = 3, 200


@dataclass(frozen=True)
class RadialContour:
    """Contours k = 1 … L of V corners, each a step around the last: with theta = 2 pi v / V,

        x_k = x_(k-1) + cos(theta) (c - 2 c xi + w)
        y_k = y_(k-1) + sin(theta) (c - 2 c xi' + w)

    from an ellipse x_0 = r ex cos(theta), y_0 = r ey sin(theta) that every instance draws for itself, where xi and xi'
    are gradient noise, new for every corner of every contour. Lengths are pixels of the canvas (`orbits.CANVAS`).

    Attributes:
        corners: V, exponentially distributed with mean 20 (paper: 100), from 3 to 200.
        contours: L, 1 to 40 (paper: 1 to 200).
        growth: c, 0 to 4, by which a contour grows and trembles.
        spacing: w, 0 to 0.1.

    Source: the radial contour data base (RCDB) of H. Kataoka et al., "Replacing Labeled Real-image Datasets with
    Auto-generated Contours", CVPR 2022, arXiv:2206.09132, section 3.2.
    """

    corners: int
    contours: int
    growth: float
    spacing: float

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "RadialContour":
        """Numbers of a class."""
        corners = 0
        while not FEWEST_CORNERS <= corners <= MOST_CORNERS:
            corners = int(dice.exponential(20))
        return cls(corners, int(dice.integers(1, 41)), dice.uniform(0, 4), dice.uniform(0, 0.1))

    def points(self, radius: float, oval: tuple[float, float], dice: np.random.Generator) -> Float[np.ndarray, "2 L V"]:
        """Corners of all contours around (0, 0), around an ellipse of radii `radius * oval`."""
        theta = angles(self.corners)
        direction = np.stack([np.cos(theta), np.sin(theta)])[:, None, :]
        noise = NOISE_SHARE * gradient_noise((2, self.contours, self.corners), dice)
        steps = direction * (self.growth * (1 - 2 * noise) + self.spacing)
        return (direction * radius * np.array(oval).reshape(2, 1, 1) + steps.cumsum(axis=1)).astype(np.float32)

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance: its own ellipse (r up to 20; paper: 100), its own noise, and a grey for every contour."""
        points = self.points(dice.uniform(0, 20), (dice.uniform(1, 2), dice.uniform(1, 2)), dice)
        return drawn_orbits(points, dice.integers(0, 256, self.contours, dtype=np.uint8), size, placement)
