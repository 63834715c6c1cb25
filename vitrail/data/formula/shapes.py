"""What every kind of formula promises, and where in an image its shape stands."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True)
class Placement:
    """Where a shape stands, in shares of the image's side: its centre, and the side of the square that it fills."""

    x: float = 0.5
    y: float = 0.5
    extent: float = 0.9


@runtime_checkable
class Formula(Protocol):
    """The numbers of one class: what all its images have in common."""

    def ink(self, size: int, placement: Placement, dice: np.random.Generator) -> UInt8[np.ndarray, "S S"]:
        """Draw one instance on nothing: grey levels of an image of `size` × `size` pixels, 0 where nothing is drawn."""
