"""Blur: a lens out of focus, a moving hand, a zooming lens. Lengths are pixels of a picture of 224, and are scaled.

Source of every severity: D. Hendrycks and T. Dietterich (2019), arXiv:1903.12261, and the code beside it; of the
kernels, what it calls: scikit-image's `gaussian`, OpenCV's `filter2D`, ImageMagick's `MotionBlurImage`.
"""

import math

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import correlate1d, gaussian_filter
from scipy.signal import fftconvolve

from vitrail.data.corruptions.noise import Unit

TUNED_FOR = 224
"""Pixels of the shorter side of the pictures that the severities were chosen for."""


def length_factor(picture: np.ndarray) -> float:
    """By what lengths are multiplied, so that a picture of another size is blurred as much as one of 224 pixels."""
    return min(picture.shape[:2]) / TUNED_FOR


def gaussian_blur(picture: Unit, dice: np.random.Generator, sigma: float | int) -> Unit:
    """A normal blur of that standard deviation."""
    sigma *= length_factor(picture)
    return gaussian_filter(picture, (sigma, sigma, 0), mode="nearest", truncate=4.0)


def defocus_blur(picture: Unit, dice: np.random.Generator, radius: float | int, softness: float | int) -> Unit:
    """Every point becomes a disk, as in a lens out of focus."""
    kernel = disk(radius * length_factor(picture), softness)
    reach = len(kernel) // 2
    around = np.pad(
        picture, ((reach, reach), (reach, reach), (0, 0)), mode="reflect" if _fits(picture, reach) else "edge"
    )
    return fftconvolve(around, kernel[..., None], mode="valid", axes=(0, 1)).astype(np.float32)


def motion_blur(picture: Unit, dice: np.random.Generator, radius: float | int, sigma: float | int) -> Unit:
    """A moving camera, in a direction within 45 degrees of level."""
    factor, angle = length_factor(picture), -45 + 90 * dice.random()
    return smeared(picture, radius * factor, sigma * factor, degrees=angle)


def zoom_blur(picture: Unit, dice: np.random.Generator, farthest: float | int, step: float | int) -> Unit:
    """A camera that zooms in while it exposes, up to `farthest` times."""
    factors = np.arange(1, farthest, step)
    return (picture + sum(enlarged(picture, float(each)) for each in factors)) / (len(factors) + 1)


def disk(radius: float | int, softness: float | int) -> Float[np.ndarray, "S S"]:
    """A disk with sum 1 whose edge is softened by a normal blur over 3 (small disks) or 5 pixels."""
    small = radius <= 8
    reach = max(8 if small else 0, math.ceil(radius))
    across = np.arange(-reach, reach + 1)
    found = (across[:, None] ** 2 + across**2 <= radius**2).astype(np.float32)
    taps = np.exp(-((np.arange(-1, 2) if small else np.arange(-2, 3)) ** 2) / (2 * softness**2))
    for axis in (0, 1):
        found = correlate1d(found, taps / taps.sum(), axis=axis, mode="mirror")
    return found / found.sum()


def smeared(picture: Unit, radius: float | int, sigma: float | int, *, degrees: float | int) -> Unit:
    """A picture smeared to one side, fading like half a normal curve; edges are repeated."""
    reach, turn = max(1, 2 * math.ceil(radius) + 1), math.radians(degrees)
    weights = np.exp(-(np.arange(reach) ** 2) / (2 * sigma**2)).astype(np.float32)
    weights /= weights.sum()
    around = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = picture.shape[:2]
    found = np.zeros_like(picture)
    for number, weight in enumerate(weights):
        x = reach + math.ceil(number * math.cos(turn) - 0.5)
        y = reach + math.ceil(number * math.sin(turn) - 0.5)
        found += weight * around[y : y + height, x : x + width]
    return found


def enlarged(picture: Unit, factor: float | int) -> Unit:
    """The middle of a picture, so many times as large, bilinear."""
    height, width = picture.shape[:2]
    left, top = (width - width / factor) / 2, (height - height / factor) / 2
    box = (left, top, width - left, height - top)
    layers = [
        np.asarray(Image.fromarray(layer).resize((width, height), Image.Resampling.BILINEAR, box=box))
        for layer in np.moveaxis(np.ascontiguousarray(picture, np.float32), 2, 0).copy()
    ]
    return np.stack(layers, axis=2)


def _fits(picture: np.ndarray, reach: int) -> bool:
    return min(picture.shape[:2]) > reach
