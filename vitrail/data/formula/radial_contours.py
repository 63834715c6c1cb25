"""Radial contours: polygons around polygons, each a noisy step outside the last."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vitrail.data.formula.orbits import angles, drawn_orbits, gradient_noise
from vitrail.data.formula.shapes import Placement

FEWEST_CORNERS, MOST_CORNERS = 3, 200


@dataclass(frozen=True)
class RadialContour:
    """Contours k = 1 … L of V corners: with theta = 2 pi v / V, and xi a new noise for every corner and axis,

        x_k = x_(k-1) + cos(theta) (c - 2 c xi + w)
        y_k = y_(k-1) + sin(theta) (c - 2 c xi' + w)

    from the ellipse x_0 = r ex cos(theta), y_0 = r ey sin(theta), which every instance draws for itself.

    Attributes:
        corners: V.
        contours: L.
        noise: c, pixels.
        spacing: w, pixels.

    Source: the radial contour data base (RCDB) of H. Kataoka et al., "Replacing Labeled Real-image Datasets with
    Auto-generated Contours", CVPR 2022, arXiv:2206.09132, section 3.2.
    """

    corners: int
    contours: int
    noise: float
    spacing: float

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "RadialContour":
        """The paper's ranges for 512 pixels, with a fifth of its contours, radius and mean number of corners."""
        corners = 0
        while not FEWEST_CORNERS <= corners <= MOST_CORNERS:
            corners = int(dice.exponential(20))
        return cls(corners, int(dice.integers(1, 41)), dice.uniform(0, 4), dice.uniform(0, 0.1))

    def points(self, radius: float, oval: tuple[float, float], dice: np.random.Generator) -> Float[np.ndarray, "2 L V"]:
        """Corners of all contours around (0, 0), in pixels, for an ellipse of radii `radius * oval`."""
        theta = angles(self.corners)
        direction = np.stack([np.cos(theta), np.sin(theta)])[:, None, :]
        noise = gradient_noise((2, self.contours, self.corners), dice)
        steps = direction * (self.noise * (1 - 2 * noise) + self.spacing)
        return (direction * radius * np.array(oval).reshape(2, 1, 1) + steps.cumsum(axis=1)).astype(np.float32)

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance: its own ellipse, its own noise, and a grey of its own for every contour."""
        points = self.points(dice.uniform(0, 20), (dice.uniform(1, 2), dice.uniform(1, 2)), dice)
        return drawn_orbits(points, dice.integers(0, 256, self.contours, dtype=np.uint8), size, placement)
