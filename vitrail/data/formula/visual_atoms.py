"""Visual atoms: orbits around orbits, each a circle with two waves on it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vitrail.data.formula.orbits import angles, drawn_orbits, gradient_noise
from vitrail.data.formula.shapes import Placement


@dataclass(frozen=True)
class VisualAtom:
    """Orbits k = 1 … L of V corners: with theta = 2 pi v / V, and xi a new noise for every corner and axis,

        x_k = x_(k-1) + cos(theta) (c (1 - xi) + w + (sin(n1 theta) + sin(n2 theta)) / 2)
        y_k = y_(k-1) + sin(theta) (c (1 - xi') + w + (sin(n1 theta) + sin(n2 theta)) / 2)

    from the ellipse x_0 = r ex cos(theta), y_0 = r ey sin(theta).

    Attributes:
        corners: V.
        orbits: L.
        noise: c, pixels.
        spacing: w, pixels.
        radius: r, pixels.
        oval: ex and ey.
        waves: n1 and n2.

    Source: S. Takashima et al., "Visual Atoms: Pre-Training Vision Transformers With Sinusoidal Waves", CVPR 2023,
    arXiv:2303.01112, section 3.2.
    """

    corners: int
    orbits: int
    noise: float
    spacing: float
    radius: float
    oval: tuple[float, float]
    waves: tuple[int, int]

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "VisualAtom":
        """The paper's ranges for 512 pixels, with a fifth of its orbits and radius: lines stand as far apart in an
        image of 100 pixels as theirs do in one of 512."""
        first, second = (int(number) for number in dice.integers(0, 21, 2))
        while first == second != 0:
            second = int(dice.integers(0, 21))
        return cls(
            corners=int(dice.integers(200, 401)),
            orbits=int(dice.integers(1, 41)),
            noise=dice.uniform(0, 4),
            spacing=dice.uniform(0, 0.1),
            radius=dice.uniform(2, 12),
            oval=(dice.uniform(1, 2), dice.uniform(1, 2)),
            waves=(first, second),
        )

    def points(self, dice: np.random.Generator) -> Float[np.ndarray, "2 L V"]:
        """Corners of all orbits around (0, 0), in pixels."""
        theta = angles(self.corners)
        wave = (np.sin(self.waves[0] * theta) + np.sin(self.waves[1] * theta)) / 2
        direction = np.stack([np.cos(theta), np.sin(theta)])[:, None, :]
        noise = gradient_noise((2, self.orbits, self.corners), dice)
        steps = direction * (self.noise * (1 - noise) + self.spacing + wave)
        start = direction * self.radius * np.array(self.oval).reshape(2, 1, 1)
        return (start + steps.cumsum(axis=1)).astype(np.float32)

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance: its own noise, and a grey of its own for every orbit."""
        points = self.points(dice)
        return drawn_orbits(points, dice.integers(0, 256, self.orbits, dtype=np.uint8), size, placement)
