"""From values with all their bits to 8-bit pictures, transparency laid on white."""

import numpy as np
from PIL import Image

from vitrail.data.tone import Range, Tone


def toned(
    values: np.ndarray,
    tone: Tone,
    *,
    window: Range | None = None,
    value_range: Range | None = None,
    inverted: bool = False,
) -> Image.Image:
    """A picture of the values by a tone: `L`, or `RGB` of three layers, each on the same scale.

    Args:
        values: (H, W) or (H, W, C); the last of two or four layers is transparency, of 16 bits.
        tone: how.
        window: as for `Tone.levels`, and so are the others.
        value_range: the least and greatest value that the file can hold.
        inverted: whether low values are bright.
    """
    if values.ndim == 2:
        return Image.fromarray(tone.levels(values, window=window, value_range=value_range, inverted=inverted))
    each = (np.ascontiguousarray(values[..., layer]) for layer in range(values.shape[2]))
    layers = [
        tone.levels(layer, window=window, value_range=value_range, inverted=inverted, is_layer=True) for layer in each
    ]
    if len(layers) == 3:
        return tone.equalised(Image.fromarray(np.stack(layers, axis=-1)))
    opaque = (values[..., -1] >> 8).astype(np.uint8)
    return tone.equalised(on_white(Image.fromarray(np.stack([*layers[:-1], opaque], axis=-1))))


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
