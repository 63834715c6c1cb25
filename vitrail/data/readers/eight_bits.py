"""From values with all their bits to 8-bit pictures, transparency laid on white."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def toned(values: np.ndarray, levels: Callable[[np.ndarray], UInt8[np.ndarray, "H W"]]) -> Image.Image:
    """A picture of the values: each layer brought to grey levels, the last of two or four being transparency.

    Args:
        values: (H, W) or (H, W, C).
        levels: grey levels of one layer.
    """
    if values.ndim == 2:
        return Image.fromarray(levels(values))
    layers = [levels(np.ascontiguousarray(values[..., layer])) for layer in range(values.shape[2])]
    if len(layers) == 3:
        return Image.fromarray(np.stack(layers, axis=-1))
    opaque = (values[..., -1] >> 8).astype(np.uint8)
    return on_white(Image.fromarray(np.stack([*layers[:-1], opaque], axis=-1)))


def on_white(image: Image.Image) -> Image.Image:
    """A picture with transparency, laid on white: `L` where it is grey, else `RGB`."""
    grey = image.mode in ("1", "L", "LA")
    layered = image.convert("LA" if grey else "RGBA")
    alpha = layered.getchannel("A")
    colours = layered.convert("L" if grey else "RGB")
    if alpha.getextrema() == (255, 255):
        return colours
    background = Image.new(colours.mode, colours.size, "white")
    background.paste(colours, mask=alpha)
    return background
