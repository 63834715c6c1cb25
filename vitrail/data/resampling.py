"""A window of an enlarged picture, without the rest of it: the very pixels that Pillow's resize and crop give."""

import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels."""

LARGEST_WHOLE = 4096 * 4096
"""Pixels above which an enlarged picture is not made as a whole: a strip of 1 × 8,000 pixels whose short side is to
have 256 would take 2.2 GB, of which a crop keeps 0.2 MB."""

_PRECISION_BITS = 22
_SUPPORT = {Image.Resampling.BILINEAR: 1.0, Image.Resampling.BICUBIC: 2.0, Image.Resampling.LANCZOS: 3.0}


def resized_window(
    picture: Image.Image, size: tuple[int, int], window: Box, resampling: Image.Resampling
) -> Image.Image:
    """`picture.resize(size, resampling).crop(window)`, bit for bit, in little memory.

    Args:
        picture: of mode `L` or `RGB`.
        size: width and height after the resize.
        window: within them.
        resampling: Pillow's filter.
    """
    grows = size[0] >= picture.width and size[1] >= picture.height
    if not grows or size[0] * size[1] <= LARGEST_WHOLE or resampling not in _SUPPORT:
        return (picture if size == picture.size else picture.resize(size, resampling)).crop(window)
    across = _Weights(picture.width, size[0], window[0], window[2], resampling)
    down = _Weights(picture.height, size[1], window[1], window[3], resampling)
    needed = np.asarray(picture.crop((across.first, down.first, across.last, down.last)))
    # First across, then down, each rounded to 8 bits: where both sides grow, every Pillow has this order.
    wide = across.applied(needed.swapaxes(0, 1)).swapaxes(0, 1)
    return Image.fromarray(down.applied(wide))


class _Weights:
    """What each pixel of a window takes from which pixels along one side.

    Source: `precompute_coeffs`, `normalize_coeffs_8bpc` and the 8-bit passes of Pillow's `libImaging/Resample.c`, where
    a picture grows.
    """

    def __init__(self, size: int, length: int, start: int, stop: int, resampling: Image.Resampling) -> None:
        self._same = size == length
        if self._same:
            self.first, self.last = start, stop
            return
        support, scale = _SUPPORT[resampling], size / length
        self._rows: list[tuple[int, Float[np.ndarray, " taps"]]] = []
        for number in range(start, stop):
            centre = (number + 0.5) * scale
            least, most = max(0, int(centre - support + 0.5)), min(size, int(centre + support + 0.5))
            weights = _filtered(np.arange(least, most) - centre + 0.5, resampling)
            total = 0.0
            for weight in weights.tolist():  # one by one: NumPy adds up in another order
                total += weight
            self._rows.append((least, weights / total if total else weights))
        self.first = self._rows[0][0]
        self.last = max(least + len(weights) for least, weights in self._rows)

    def applied(self, pixels: UInt8[np.ndarray, "S ..."]) -> UInt8[np.ndarray, "L ..."]:
        """The window, of the pixels from `first` to `last` along the first axis."""
        if self._same:
            return pixels
        found = np.empty((len(self._rows), *pixels.shape[1:]), np.uint8)
        for row, (least, weights) in zip(found, self._rows, strict=True):
            whole = np.trunc(weights * (1 << _PRECISION_BITS) + np.copysign(0.5, weights)).astype(np.int64)
            taken = pixels[least - self.first :][: len(weights)].astype(np.int64)
            summed = (1 << (_PRECISION_BITS - 1)) + np.tensordot(whole, taken, axes=(0, 0))
            row[...] = np.clip(summed >> _PRECISION_BITS, 0, 255)
        return found


def _filtered(distances: Float[np.ndarray, " taps"], resampling: Image.Resampling) -> Float[np.ndarray, " taps"]:
    x = np.abs(distances)
    if resampling == Image.Resampling.BILINEAR:
        return np.where(x < 1, 1 - x, 0.0)
    if resampling == Image.Resampling.BICUBIC:
        a = -0.5
        near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
        return np.where(x < 1, near, np.where(x < 2, far, 0.0))
    inside = (distances >= -3) & (distances < 3)
    return np.array([_sinc(v) * _sinc(v / 3) if kept else 0.0 for v, kept in zip(distances, inside, strict=True)])


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(x * math.pi) / (x * math.pi)
