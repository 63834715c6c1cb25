"""Tone: how values of more than 8 bits become grey levels, by one scale for all images of a data set."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import Field, model_validator

from vitrail.basics.settings import Settings

_MOST = 1e300  # beyond, differences could not be counted
_ROWS_AT_ONCE = 256  # bounds the memory of the arithmetic, whatever the picture's size


class Tone(Settings):
    """From the values that a picture stores to what is shown: a part of the preprocessing, kept in the package.

    Pictures of 8 bits are shown as they are; nothing here changes them. What lies outside the scale is black or white,
    and so is what is infinite; what is not a number is black.

    >>> Tone(black=-1000, white=400).levels(np.array([[-1024, -1000, -300, 400, 3071]])).tolist()
    [[0, 0, 128, 255, 255]]
    """

    black: float = Field(default=0.0, ge=-_MOST, le=_MOST)
    """The value that is shown as black."""
    white: float = Field(default=65535.0, ge=-_MOST, le=_MOST)
    """The value that is shown as white."""
    floats: Literal["values", "shares", "each"] = "each"
    """What floating-point pictures hold: `values` on the scale; `shares`: 0 is black and 1 is white; `each`: 0-1 or,
    beyond that, each picture from its own least to its own greatest value, where no scale was measured."""
    colours: Literal["values", "upper byte"] = "upper byte"
    """Whether colours of 16 bits are brought onto the scale, or only their upper 8 bits are looked at, as Pillow does
    where no scale was measured."""

    @model_validator(mode="after")
    def _is_a_scale(self) -> "Tone":
        if self.black >= self.white:
            raise ValueError(f"black must be less than white, got {self.black:g} and {self.white:g}")
        return self

    @property
    def is_measured(self) -> bool:
        """Whether the scale is that of a data set."""
        return self.floats != "each"

    def words(self) -> str:
        """The scale in a few words."""
        return f"black {self.black:,.6g}, white {self.white:,.6g}"

    def levels(self, values: np.ndarray) -> UInt8[np.ndarray, " ..."]:
        """Grey levels 0-255 of integers or floating-point numbers of any size and shape."""
        if not np.issubdtype(values.dtype, np.floating):
            return _spread(values, self.black, self.white)
        if self.floats == "values":
            return _spread(values, self.black, self.white)
        return _spread(values, 0.0, 1.0) if self.floats == "shares" else _stretched(values)


def _spread(values: np.ndarray, black: float, white: float) -> UInt8[np.ndarray, " ..."]:
    if values.dtype in (np.uint16, np.int16):
        every = np.arange(65536, dtype=np.uint16).view(values.dtype)
        return _of_block(every, black, white)[values.view(np.uint16)]
    found = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        found[part] = _of_block(values[part], black, white)
    return found


def _of_block(values: np.ndarray, black: float, white: float) -> UInt8[np.ndarray, " ..."]:
    """Levels, rounded half up, as integers would be."""
    numbers = np.nan_to_num(values.astype(np.float64), nan=black, posinf=white, neginf=black)
    share = (np.clip(numbers, black, white) - black) * 255 / (white - black)
    return np.floor(share + 0.5).astype(np.uint8)


def _stretched(values: np.ndarray) -> UInt8[np.ndarray, " ..."]:
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (numbers.min(), numbers.max()) if numbers.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return np.rint((numbers - low) * (255 / max(high - low, 1e-300))).astype(np.uint8)
