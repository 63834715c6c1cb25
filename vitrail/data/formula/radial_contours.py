"""Radial contours: polygons around polygons, each a noisy step outside the last."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vitrail.data.formula.orbits import NOISE_SHARE, drawn_greys, drawn_orbits, gradient_noise, nested_orbits
from vitrail.data.formula.shapes import Placement

FEWEST_CORNERS, MOST_CORNERS = 3, 200


@dataclass(frozen=True)
class RadialContour:
    """Contours k = 1 … L of V corners, each a step around the last: with theta = 2 pi v / V,

        x_k = x_(k-1) + cos(theta) (c - 2 c xi + w)
        y_k = y_(k-1) + sin(theta) (c - 2 c xi' + w)

    from the ellipse x_0 = r ex cos(theta), y_0 = r ey sin(theta), where xi and xi' are gradient noise, new for every
    corner of every contour. Lengths are pixels of the canvas (`orbits.CANVAS`).

    In the paper every image draws an ellipse of its own. Here the ellipse belongs to the class, as in visual atoms: in
    small images classes with a similar number of corners could hardly be told apart without it.

    Attributes:
        corners: V, exponentially distributed with mean 20 (paper: 100), from 3 to 200.
        contours: L, 1 to 40 (paper: 1 to 200).
        growth: c, 0 to 4, by which a contour grows and trembles.
        spacing: w, 0 to 0.1.
        radius: r, 0 to 20 (paper: 0 to 100).
        oval: ex and ey, 1 to 2.

    Source: the radial contour data base (RCDB) of H. Kataoka et al., "Replacing Labeled Real-image Datasets with
    Auto-generated Contours", CVPR 2022, arXiv:2206.09132, and the program that its authors published with it.
    """

    corners: int
    contours: int
    growth: float
    spacing: float
    radius: float
    oval: tuple[float, float]

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "RadialContour":
        """Numbers of a class."""
        corners = 0
        while not FEWEST_CORNERS <= corners <= MOST_CORNERS:
            corners = int(dice.exponential(20))
        return cls(
            corners=corners,
            contours=int(dice.integers(1, 41)),
            growth=dice.uniform(0, 4),
            spacing=dice.uniform(0, 0.1),
            radius=dice.uniform(0, 20),
            oval=(dice.uniform(1, 2), dice.uniform(1, 2)),
        )

    def points(self, dice: np.random.Generator) -> Float[np.ndarray, "2 L V"]:
        """Corners of all contours around (0, 0)."""
        noise = NOISE_SHARE * gradient_noise((2, self.contours, self.corners), dice)
        return nested_orbits(self.radius, self.oval, self.growth * (1 - 2 * noise) + self.spacing)

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance: its own noise, and a grey of its own for every contour."""
        return drawn_orbits(self.points(dice), drawn_greys(self.contours, dice), size, placement)
