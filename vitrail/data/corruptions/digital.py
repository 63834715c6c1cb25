"""What software does to pictures: coarse pixels, strong compression, warping.

Source of every severity: D. Hendrycks and T. Dietterich (2019), arXiv:1903.12261, and the code beside it.
"""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.fft import dct, idct
from scipy.ndimage import map_coordinates

from vitrail.data.corruptions.blur import length_factor
from vitrail.data.corruptions.noise import Unit


def pixelate(picture: Unit, dice: np.random.Generator, share: float | int) -> Unit:
    """Enlarged from so small a share of its sides, each pixel a block."""
    image = _image(picture)
    small = image.resize((max(1, int(image.width * share)), max(1, int(image.height * share))), Image.Resampling.BOX)
    return _unit(small.resize(image.size, Image.Resampling.BOX), picture.shape)


def jpeg(picture: Unit, dice: np.random.Generator, quality: int) -> Unit:
    """Compressed as JPEG of that quality, whose blocks are 8 pixels in pictures of every size."""
    buffer = io.BytesIO()
    _image(picture).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as opened:
        return _unit(opened, picture.shape)


def elastic(
    picture: Unit, dice: np.random.Generator, strength: float | int, smoothness: float | int, tilt: float | int
) -> Unit:
    """Warped like rubber: three points moved by up to `tilt`, then a smooth random field of `strength`.

    Lengths are pixels of a picture of 224. One resampling does both; the original resamples twice.
    """
    factor, (height, width) = length_factor(picture), picture.shape[:2]
    strength, smoothness, tilt = strength * factor, smoothness * factor, tilt * factor
    centre, reach = np.array([height // 2, width // 2], dtype=np.float64), min(height, width) // 3
    corners = centre + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = corners + dice.uniform(-tilt, tilt, corners.shape)
    # The source of every place: what maps the moved corners back.
    back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners)
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).astype(np.float64)
    for axis in (0, 1):
        places[..., axis] += strength * smoothed(dice.uniform(-1, 1, (height, width)), smoothness)
    source = np.moveaxis(places @ back[:2] + back[2], -1, 0)
    layers = [map_coordinates(layer, source, order=1, mode="reflect") for layer in np.moveaxis(picture, 2, 0)]
    return np.stack(layers, axis=2).astype(np.float32)


def smoothed(
    field: Float[np.ndarray, "H W"], sigma: float | int, *, truncate: float | int = 3.0
) -> Float[np.ndarray, "H W"]:
    """`scipy.ndimage.gaussian_filter` with mirrored edges, in a time that does not grow with `sigma`.

    The cosine transform of a mirrored row turns the filter into a product.
    """
    reach = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * np.arange(reach + 1) ** 2 / max(sigma, 1e-9) ** 2)
    weights[1:] *= 2
    weights /= weights.sum()
    for axis in (0, 1):
        size = field.shape[axis]
        waves = np.cos(np.pi * np.outer(np.arange(size), np.arange(reach + 1)) / size) @ weights
        shape = (-1, 1) if axis == 0 else (1, -1)
        field = idct(dct(field, axis=axis, norm="ortho") * waves.reshape(shape), axis=axis, norm="ortho")
    return field


def _image(picture: Unit) -> Image.Image:
    whole = np.rint(picture * 255).clip(0, 255).astype(np.uint8)
    return Image.fromarray(whole if whole.shape[2] == 3 else whole[..., 0])


def _unit(image: Image.Image, shape: tuple[int, ...]) -> Unit:
    return (np.asarray(image, dtype=np.float32) / 255).reshape(shape)
