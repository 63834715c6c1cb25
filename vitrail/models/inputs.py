"""What a model can be given: pictures as they are decoded, or what stands at a place of its chain."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """Pictures as they are decoded and resized; they are normalised where the model runs."""

    values: UInt8[np.ndarray, "B H W C"] | UInt8[Tensor, "B H W C"]

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, part: slice) -> "Pixels":
        """Some of the pictures."""
        return Pixels(self.values[part])


@dataclass(frozen=True)
class States:
    """What stands at a place of the model's chain; place 0 holds normalised images (B, C, H, W)."""

    values: Float[Tensor, " B *state"]
    place: int

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, part: slice) -> "States":
        """The states of some of the images."""
        return States(self.values[part], self.place)


Inputs = Pixels | States
