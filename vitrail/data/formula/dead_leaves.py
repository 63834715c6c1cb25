"""Dead leaves: shapes fallen over one another until the ground is gone, as things hide things in the world."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFilter

from vitrail.data.formula.plasma import plasma
from vitrail.data.formula.shapes import Placement

Filling = Literal["flat", "shaded", "striped", "cloudy"]
FILLINGS: tuple[Filling, ...] = ("flat", "shaded", "striped", "cloudy")

MOST_LEAVES = 250
"""Of an image, at most 255; what they leave uncovered shows the ground's grey."""

_TEXTURES = 4
"""Different fillings within one image."""


@dataclass(frozen=True)
class DeadLeaves:
    """Leaves of radius r between two bounds, with a density that falls like r^-3, at uniform places, later ones above.

    A leaf's outline, in its own axes, is r (a cos theta, sin theta / a) at `corners` angles, every other one drawn in
    by `waist`. The law of radii makes images that look alike at every scale, like photographs.

    Attributes:
        corners: 3 to 8, or 24 for ovals.
        waist: 0.4 to 1 of the radius, for stars and crosses.
        elongation: a, 1 to 2.
        direction: of the long axis in radians.
        disorder: standard deviation of the direction in radians, 0.1 to 3.
        radii: of the smallest and the largest leaf, in shares of the side, 0.02 to 0.08 and 0.12 to 0.4.
        filling: of most leaves.
        stripes: waves per side, where they are striped.
        decay: of clouds, see `plasma`.
        greys: mean and standard deviation of a leaf's grey, on the scale from 0 to 1.
        blur: radius in shares of the side.

    Source: A. Lee, D. Mumford and J. Huang, "Occlusion Models for Natural Images", 2001; as images to learn from,
    M. Baradad et al., "Learning to See by Looking at Noise", NeurIPS 2021, arXiv:2106.05963. That numbers of the model
    are classes is ours.
    """

    corners: int
    waist: float
    elongation: float
    direction: float
    disorder: float
    radii: tuple[float, float]
    filling: Filling
    stripes: float
    decay: float
    greys: tuple[float, float]
    blur: float

    @classmethod
    def drawn(cls, dice: np.random.Generator) -> "DeadLeaves":
        """Numbers of a class, uniform in their ranges."""
        oval = dice.random() < 0.4
        return cls(
            corners=24 if oval else int(dice.integers(3, 9)),
            waist=1.0 if oval or dice.random() < 0.5 else dice.uniform(0.4, 0.8),
            elongation=dice.uniform(1, 2),
            direction=dice.uniform(0, np.pi),
            disorder=3.0 if dice.random() < 0.5 else dice.uniform(0.1, 0.4),
            radii=(float(np.exp(dice.uniform(np.log(0.02), np.log(0.08)))), dice.uniform(0.12, 0.4)),
            filling=FILLINGS[dice.integers(len(FILLINGS))],
            stripes=dice.uniform(3, 16),
            decay=dice.uniform(0.4, 0.9),
            greys=(dice.uniform(0.3, 0.7), dice.uniform(0.05, 0.35)),
            blur=max(0.0, dice.uniform(-0.01, 0.02)),
        )

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw an instance. Leaves cover the whole image: of the placement only the size counts."""
        greys, textured = [self._grey(dice)], [False]
        fillings = np.stack([self._filled(size, dice) for _ in range(_TEXTURES)])
        outlines = self._outlines(dice) * (size * placement.extent / 0.9) + dice.uniform(0, size, (MOST_LEAVES, 1, 2))
        # The number of the uppermost leaf at every place, 0 for the ground, and then their greys at once: several times
        # as fast as to paint leaf over leaf.
        uppermost = Image.new("L", (size, size))
        pen = ImageDraw.Draw(uppermost)
        for number, outline in enumerate(outlines.astype(np.float32).reshape(MOST_LEAVES, -1).tolist(), start=1):
            pen.polygon(outline, fill=number)
            textured.append(dice.random() < 0.8)
            greys.append(0 if textured[-1] else self._grey(dice))
        leaf = np.asarray(uppermost).astype(np.intp)
        texture = np.take_along_axis(fillings, (leaf[None] - 1) % _TEXTURES, axis=0)[0]
        ink = np.where(np.array(textured)[leaf], texture, np.array(greys, np.uint8)[leaf])
        if self.blur:
            ink = np.asarray(Image.fromarray(ink).filter(ImageFilter.GaussianBlur(self.blur * size)))
        return np.maximum(ink, 1)

    def _grey(self, dice: np.random.Generator) -> int:
        return int(min(max(dice.normal(*self.greys), 0), 1) * 255)

    def _outlines(self, dice: np.random.Generator) -> Float[np.ndarray, "L V 2"]:
        """Outlines around (0, 0) of all leaves, in shares of the side."""
        smallest, largest = self.radii
        share = dice.random(MOST_LEAVES)
        radii = (share * smallest**-2 + (1 - share) * largest**-2) ** -0.5
        theta = np.arange(self.corners) * (2 * np.pi / self.corners)
        drawn_in = np.where(np.arange(self.corners) % 2, self.waist, 1.0)
        x, y = self.elongation * np.cos(theta) * drawn_in, np.sin(theta) * drawn_in / self.elongation
        turns = dice.normal(self.direction, self.disorder, MOST_LEAVES)[:, None]
        along, across = x * np.cos(turns) - y * np.sin(turns), x * np.sin(turns) + y * np.cos(turns)
        return radii[:, None, None] * np.stack([along, across], axis=2)

    def _filled(self, size: int, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """A square of the class's filling, around a grey of its own."""
        grey, strength = self._grey(dice), 255 * dice.uniform(0.1, 0.4)
        angle, phase = dice.normal(self.direction, self.disorder), dice.uniform(0, 2 * np.pi)
        places = np.arange(size) / size - 0.5
        along = places[None, :] * np.cos(angle) + places[:, None] * np.sin(angle)
        if self.filling == "striped":
            relief = np.sin(2 * np.pi * self.stripes * along + phase)
        elif self.filling == "cloudy":
            relief = 2 * plasma(size, decay=self.decay, dice=dice) - 1
        else:
            relief = 2 * along if self.filling == "shaded" else np.zeros((size, size))
        return np.clip(grey + strength * relief, 0, 255).astype(np.uint8)
