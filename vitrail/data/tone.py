"""Tone: how values of more than 8 bits become grey levels, by one scale for all images of a data set."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageOps
from pydantic import Field, model_serializer, model_validator

from vitrail.basics.settings import Settings
from vitrail.data.local_contrast import locally_equalised, locally_equalised_picture

_MOST = 1e300  # beyond, differences could not be counted
_ROWS_AT_ONCE = 256  # bounds the memory of the arithmetic, whatever the picture's size
_WRITTEN_IF_USED = ("window", "inverted", "clahe")  # so that packages that need none of them stay what they were

Range = tuple[int | float, int | float]
"""A least and a greatest value."""


class Tone(Settings):
    """From the values that a picture stores to what is shown: a part of the preprocessing, kept in the package.

    The order is fixed: values in their unit (readers rescale them), then scale or window, then inversion, then local
    contrast, all before anything is rounded to 8 bits. No scale or window changes pictures of 8 bits, the rest does
    where it is asked for. What lies outside the scale is black or white, and so is what is infinite; what is not a
    number is black, before inversion.

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
    window: Literal["scale", "own"] = "scale"
    """`scale`: one value is one grey level in all pictures. `own`: each picture is shown on the window that its file
    asks for (a radiologist's), where it asks for one."""
    inverted: bool = False
    """Whether bright becomes dark, in all pictures; what a file says of itself (low values are white) comes on top."""
    clahe: float = Field(default=0.0, ge=0, le=256)
    """Clip limit of the local equalisation of contrast that comes last (see `local_contrast`); 0: there is none."""

    @model_validator(mode="after")
    def _is_a_scale(self) -> "Tone":
        if self.black >= self.white:
            raise ValueError(f"black must be less than white, got {self.black:g} and {self.white:g}")
        return self

    @property
    def is_measured(self) -> bool:
        """Whether the scale is that of a data set."""
        return self.floats != "each"

    @model_serializer(mode="wrap")
    def _written(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        plain, fields = handler(self), type(self).model_fields
        unused = {name for name in _WRITTEN_IF_USED if getattr(self, name) == fields[name].default}
        return {name: value for name, value in plain.items() if name not in unused}

    def words(self) -> str:
        """The scale in a few words."""
        scale = f"black {self.black:,.6g}, white {self.white:,.6g}"
        own = ", or the window that a file asks for" if self.window == "own" else ""
        return f"{scale}{own}{', inverted' if self.inverted else ''}{f', CLAHE {self.clahe:g}' if self.clahe else ''}"

    def levels(
        self,
        values: np.ndarray,
        *,
        window: Range | None = None,
        value_range: Range | None = None,
        inverted: bool = False,
        is_layer: bool = False,
    ) -> UInt8[np.ndarray, " ..."]:
        """Grey levels 0-255 of integers or floating-point numbers of any size and shape.

        Args:
            values: in the unit of the scale.
            window: the values that the file wants shown as black and white.
            value_range: the least and greatest value that the file can hold: the scale where none was measured.
            inverted: whether the file says that low values are bright.
            is_layer: whether it is one of several colours, in which the local contrast is not changed by itself.
        """
        scale = self._scale(np.issubdtype(values.dtype, np.floating), window, value_range)
        inverts = inverted != self.inverted
        if self.clahe and values.ndim == 2 and not is_layer:
            return locally_equalised(_shares(values, scale, inverts=inverts), self.clahe)
        return _spread(values, *scale, inverts=inverts) if scale else _stretched(values, inverts=inverts)

    def of_8_bits(self, picture: Image.Image, *, inverted: bool = False) -> Image.Image:
        """A picture of 8 bits, `L` or `RGB`: inverted and equalised where that is asked for.

        Args:
            picture: it is not changed.
            inverted: whether its file says that low values are bright.
        """
        return self.equalised(ImageOps.invert(picture) if inverted != self.inverted else picture)

    def equalised(self, picture: Image.Image) -> Image.Image:
        """A picture of 8 bits whose local contrast is changed, where that is asked for."""
        return locally_equalised_picture(picture, self.clahe) if self.clahe else picture

    def _scale(self, is_floating: bool, window: Range | None, value_range: Range | None) -> tuple[float, float] | None:
        """Black and white; None where each picture has its own."""
        if self.window == "own" and window is not None:
            return float(window[0]), float(window[1])
        if not self.is_measured and value_range is not None:
            return float(value_range[0]), float(value_range[1])
        if is_floating and self.floats != "values":
            return (0.0, 1.0) if self.floats == "shares" else None
        return self.black, self.white


def _spread(values: np.ndarray, black: float, white: float, *, inverts: bool) -> UInt8[np.ndarray, " ..."]:
    if values.dtype in (np.uint16, np.int16):
        every = np.arange(65536, dtype=np.uint16).view(values.dtype)
        return _of_block(every, black, white, inverts=inverts)[values.view(np.uint16)]
    found = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        found[part] = _of_block(values[part], black, white, inverts=inverts)
    return found


def _of_block(values: np.ndarray, black: float, white: float, *, inverts: bool) -> UInt8[np.ndarray, " ..."]:
    """Levels, rounded half up, as integers would be."""
    return np.floor(_share_of_block(values, black, white, inverts=inverts) + 0.5).astype(np.uint8)


def _share_of_block(values: np.ndarray, black: float, white: float, *, inverts: bool) -> Float[np.ndarray, " ..."]:
    numbers = np.nan_to_num(values.astype(np.float64), nan=black, posinf=white, neginf=black)
    share = (np.clip(numbers, black, white) - black) * 255 / (white - black)
    return 255 - share if inverts else share


def _shares(
    values: np.ndarray, scale: tuple[float, float] | None, *, inverts: bool
) -> Float32[np.ndarray, "H W"]:  # fmt: skip
    """Levels with their fractions."""
    if scale is None:
        return _stretched_shares(values, inverts=inverts).astype(np.float32)
    found = np.empty(values.shape, np.float32)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        found[part] = _share_of_block(values[part], *scale, inverts=inverts)
    return found


def _stretched(values: np.ndarray, *, inverts: bool) -> UInt8[np.ndarray, " ..."]:
    return np.rint(_stretched_shares(values, inverts=inverts)).astype(np.uint8)


def _stretched_shares(values: np.ndarray, *, inverts: bool) -> Float[np.ndarray, " ..."]:
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (numbers.min(), numbers.max()) if numbers.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    share = (numbers - low) * (255 / max(high - low, 1e-300))
    return 255 - share if inverts else share
