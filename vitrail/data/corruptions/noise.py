"""Noise: what sensors, short exposures and broken lines add to a picture.

Source of every severity: D. Hendrycks and T. Dietterich (2019), Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations, arXiv:1903.12261, and the code beside it.
"""

import numpy as np
from jaxtyping import Float

Unit = Float[np.ndarray, "H W C"]
"""A picture on the scale 0-1; results may leave it, and are clipped afterwards."""


def gaussian_noise(picture: Unit, dice: np.random.Generator, sigma: float | int) -> Unit:
    """Independent normal noise on every value."""
    return picture + sigma * dice.standard_normal(picture.shape, dtype=np.float32)


def shot_noise(picture: Unit, dice: np.random.Generator, photons: float | int) -> Unit:
    """Light that comes in so few parts that their number varies; `photons` make a value of 1."""
    return (dice.poisson(picture * photons) / photons).astype(np.float32)


def impulse_noise(picture: Unit, dice: np.random.Generator, share: float | int) -> Unit:
    """Salt and pepper: that share of the values is replaced by 0 or 1."""
    hit = dice.random(picture.shape, dtype=np.float32) < share
    return np.where(hit, (dice.random(picture.shape, dtype=np.float32) < 0.5).astype(np.float32), picture)


def speckle_noise(picture: Unit, dice: np.random.Generator, sigma: float | int) -> Unit:
    """Normal noise in proportion to the value, as in ultrasound and radar."""
    return picture + picture * (sigma * dice.standard_normal(picture.shape, dtype=np.float32))
