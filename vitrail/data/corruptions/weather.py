"""Weather and light: fog, snow, brightness, contrast, saturation.

Source of every severity: D. Hendrycks and T. Dietterich (2019), arXiv:1903.12261, and the code beside it.
"""

import numpy as np
from jaxtyping import Float

from vitrail.data.corruptions.blur import enlarged, length_factor, smeared
from vitrail.data.corruptions.noise import Unit

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def fog(picture: Unit, dice: np.random.Generator, thickness: float | int, decay: float | int) -> Unit:
    """Clouds of light that take away contrast."""
    height, width = picture.shape[:2]
    size = 1 << (max(height, width) - 1).bit_length()
    clouds = plasma(size, decay, dice)[:height, :width, None]
    brightest = float(picture.max())
    return (picture + thickness * clouds) * brightest / (brightest + thickness)


def snow(
    picture: Unit, dice: np.random.Generator, flakes: tuple[float | int, ...], fall: tuple[float | int, ...],
    kept: float | int,
) -> Unit:  # fmt: skip
    """Falling flakes, and a whiter picture behind them.

    Args:
        picture: see `Unit`.
        dice: where draws come from.
        flakes: mean, spread, enlargement and least value of the noise that flakes are made of.
        fall: radius and spread of the smear.
        kept: how much of the picture stays as it is.
    """
    mean, spread, zoom, least = flakes
    layer = enlarged(mean + spread * dice.standard_normal((*picture.shape[:2], 1), dtype=np.float32), zoom)
    layer = np.where(layer < least, 0, layer).clip(0, 1)
    factor, angle = length_factor(picture), -135 + 90 * dice.random()
    layer = smeared(layer, fall[0] * factor, fall[1] * factor, degrees=angle)
    white = np.maximum(picture, _grey(picture) * 1.5 + 0.5)
    return kept * picture + (1 - kept) * white + layer + layer[::-1, ::-1]


def brightness(picture: Unit, dice: np.random.Generator, added: float | int) -> Unit:
    """The brightest channel of every pixel gains that much, the others in proportion: hue and saturation stay."""
    value = picture.max(axis=2, keepdims=True)
    higher = (value + added).clip(0, 1)
    return np.where(value > 0, picture * (higher / np.maximum(value, 1e-6)), higher)


def contrast(picture: Unit, dice: np.random.Generator, kept: float | int) -> Unit:
    """Every channel keeps that share of its distance from its mean."""
    means = picture.mean(axis=(0, 1), keepdims=True)
    return (picture - means) * kept + means


def saturate(picture: Unit, dice: np.random.Generator, factor: float | int, added: float | int) -> Unit:
    """Less or more colour. Pixels without any keep none: they have no hue that could be strengthened."""
    value = picture.max(axis=2, keepdims=True)
    before = 1 - picture.min(axis=2, keepdims=True) / np.maximum(value, 1e-6)
    after = (before * factor + added).clip(0, 1)
    strength = np.where(before > 1e-6, after / np.maximum(before, 1e-6), 0)
    return value - (value - picture) * strength


def plasma(size: int, decay: float | int, dice: np.random.Generator) -> Float[np.ndarray, "S S"]:
    """A random landscape from 0 to 1 that repeats at its edges: the diamond-square fractal.

    Args:
        size: a power of 2.
        decay: by what the roughness is divided when the distance of points is halved.
        dice: where draws come from.
    """
    heights, step, roughness = np.zeros((size, size)), size, 100.0
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        squares = corners + np.roll(corners, -1, axis=0)
        squares = squares + np.roll(squares, -1, axis=1)
        heights[half::step, half::step] = _roughened(squares, roughness, dice)
        middles = heights[half::step, half::step]
        beside = middles + np.roll(middles, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        heights[::step, half::step] = _roughened(beside, roughness, dice)
        below = middles + np.roll(middles, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        heights[half::step, ::step] = _roughened(below, roughness, dice)
        step, roughness = half, roughness / decay
    heights -= heights.min()
    return (heights / max(float(heights.max()), 1e-12)).astype(np.float32)


def _roughened(sums: np.ndarray, roughness: float | int, dice: np.random.Generator) -> np.ndarray:
    # The square is the original's: its noise spans roughness, and is multiplied by it once more.
    return sums / 4 + roughness * dice.uniform(-roughness, roughness, sums.shape)


def _grey(picture: Unit) -> Float[np.ndarray, "H W 1"]:
    return picture if picture.shape[2] == 1 else (picture @ _GREY)[..., None]
