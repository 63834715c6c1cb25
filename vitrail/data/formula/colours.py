"""Colours of formula images: greys with a light tint, unless the settings ask for more."""

import numpy as np
from jaxtyping import Float, UInt8

HUE_SPREAD = 0.25
"""Part of the colour circle that lies between an image's darkest and its brightest grey, at most."""


def tinted_greys(brightness: float, tint: float, dice: np.random.Generator) -> UInt8[np.ndarray, "256 3"]:
    """The colour of each grey level, from black to `brightness`: one hue that drifts, one saturation up to `tint`."""
    hue, drift, saturation = dice.random(), dice.uniform(-HUE_SPREAD, HUE_SPREAD), dice.uniform(0, tint)
    levels = np.linspace(0, 1, 256)
    colours = brightness * levels[:, None] * (1 - saturation * (1 - pure_colours(hue + drift * levels)))
    return np.rint(255 * colours).astype(np.uint8)


def pure_colours(hues: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Red, green and blue, from 0 to 1, of fully saturated colours; the circle is 1 around and begins at red."""
    distances = np.abs((6 * hues[:, None] + np.array([0.0, 4.0, 2.0])) % 6 - 3)
    return np.clip(distances - 1, 0, 1)


def laid_over(
    ground: UInt8[np.ndarray, "H W 3"], ink: UInt8[np.ndarray, "H W"], colours: UInt8[np.ndarray, "256 3"]
) -> UInt8[np.ndarray, "H W 3"]:
    """`ground` seen through ink that lets the less through the brighter it is."""
    seen = ground.astype(np.uint16) * (255 - ink.astype(np.uint16))[:, :, None] // 255
    return seen.astype(np.uint8) + colours[ink]
