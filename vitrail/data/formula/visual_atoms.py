"""Visual atoms: orbits around orbits, each a circle with two waves on it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vitrail.data.formula.orbits import NOISE_SHARE, angles, drawn_greys, drawn_orbits, gradient_noise, nested_orbits
from vitrail.data.formula.shapes import Placement


@dataclass(frozen=True)
class VisualAtom:
    """Orbits k = 1 … L of V corners, each a step around the last: with theta = 2 pi v / V,

        x_k = x_(k-1) + cos(theta) (c (1 - xi) + w + (sin(n1 theta) + sin(n2 theta)) / 2)
        y_k = y_(k-1) + sin(theta) (c (1 - xi') + w + (sin(n1 theta) + sin(n2 theta)) / 2)

    from the ellipse x_0 = r ex cos(theta), y_0 = r ey sin(theta), where xi and xi' are gradient noise, new for every
    corner of every orbit. Lengths are pixels of the canvas (`orbits.CANVAS`).

    Attributes:
        corners: V, 100 to 400 (paper: 200 to 1000).
        orbits: L, 1 to 40 (paper: 1 to 200).
        growth: c, 0 to 4, by which an orbit grows and trembles.
        spacing: w, 0 to 0.1.
        radius: r, 2 to 12 (paper: 10 to 60).
        oval: ex and ey, 1 to 2.
        waves: n1 and n2, 0 to 20 and not the same unless 0.

    Source: S. Takashima et al., "Visual Atoms: Pre-Training Vision Transformers With Sinusoidal Waves", CVPR 2023,
    arXiv:2303.01112, and the program that its authors published with it.
    """

    corners: int
    orbits: int
    growth: float
    spacing: float
    radius: float
    oval: tuple[float, float]
    waves: tuple[int, int]

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "VisualAtom":
        """Numbers of a class, uniform in their ranges."""
        first, second = (int(number) for number in dice.integers(0, 21, 2))
        while first == second != 0:
            second = int(dice.integers(0, 21))
        return cls(
            corners=int(dice.integers(100, 401)),
            orbits=int(dice.integers(1, 41)),
            growth=dice.uniform(0, 4),
            spacing=dice.uniform(0, 0.1),
            radius=dice.uniform(2, 12),
            oval=(dice.uniform(1, 2), dice.uniform(1, 2)),
            waves=(first, second),
        )

    def points(self, dice: np.random.Generator) -> Float[np.ndarray, "2 L V"]:
        """Corners of all orbits around (0, 0)."""
        theta = angles(self.corners)
        wave = (np.sin(self.waves[0] * theta) + np.sin(self.waves[1] * theta)) / 2
        noise = NOISE_SHARE * gradient_noise((2, self.orbits, self.corners), dice)
        return nested_orbits(self.radius, self.oval, self.growth * (1 - noise) + self.spacing + wave)

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance: its own noise, and a grey of its own for every orbit."""
        return drawn_orbits(self.points(dice), drawn_greys(self.orbits, dice), size, placement)
