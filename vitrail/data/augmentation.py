"""Random views of a picture for training: cropped, mirrored, relit, turned; a pure function of a seed."""

import math
import random

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageStat
from pydantic import Field

from vitrail.basics.settings import Settings
from vitrail.data.preprocessing import Preprocessing

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels of the picture, whole or not, as Pillow counts them."""

CROP_TRIES = 10
"""Crops that are drawn before the middle is taken; the number of torchvision and timm."""

REDUCING_GAP = 2.0
"""A picture is reduced by averaging whole pixels to this many times the view's size before the exact filter works.

The number of Pillow's `Image.thumbnail`. In views of 224 pixels it changes a photograph of 12 megapixels by 0.6 of 255
levels in the mean and makes its resize five times as fast; crops of less than four times the view are not touched."""


class AugmentationSettings(Settings):
    """How far a training view may differ from the picture; what is 0, 1 or off is not done.

    Sources: crop (Szegedy et al. 2015, arXiv:1409.4842, section 6), mirror and `aspect_jitter` are torchvision 0.29's
    `RandomResizedCrop` and timm 1.0.31's `RandomResizedCropAndInterpolation`, with another `smallest_crop`: theirs is
    0.08, for a million images; that of DomainBed (Gulrajani and Lopez-Paz 2020, arXiv:2007.01434), which fine-tunes
    on some ten thousand, is 0.7; ours lies between. Brightness and contrast are a third of DomainBed's 0.3.
    """

    smallest_crop: float = Field(default=0.5, gt=0, le=1)
    """Least share of the picture's area that a random crop keeps; 1.0: no random crop but the one of validation."""
    aspect_jitter: float = Field(default=4 / 3, ge=1, le=4)
    """Largest factor by which a random crop is wider or narrower than the model's input, to which it is stretched."""
    flip: bool = True
    """Mirror left and right in half of the views; turn off where left and right matter: many medical images, text."""
    brightness: float = Field(default=0.1, ge=0, lt=1)
    """Largest relative change of brightness."""
    contrast: float = Field(default=0.1, ge=0, lt=1)
    """Largest relative change of contrast, around the view's mean grey."""
    rotation_degrees: float = Field(default=0.0, ge=0, le=180)
    """Largest turn in either direction; the corners that it opens take the model's mean colour."""

    @property
    def is_identity(self) -> bool:
        """Whether every view is the picture as validation sees it."""
        changes = self.flip, self.brightness, self.contrast, self.rotation_degrees
        return self.smallest_crop == 1 and not any(changes)


def augmented_pixels(
    image: Image.Image, preprocessing: Preprocessing, settings: AugmentationSettings, *, seed: int
) -> UInt8[np.ndarray, "H W C"]:
    """One random view of an upright RGB or grey picture, in the size of the model's input.

    A random crop is taken from the whole picture, whatever `preprocessing.crop_mode` and `crop_fraction` say: nothing
    is cut off beforehand, and nothing is padded. Without a random crop (`smallest_crop=1`) it is the crop of
    validation that is mirrored, relit and turned, and with `settings.is_identity` the result is exactly
    `preprocessing.pixels(image)`.

    Args:
        image: as `read_image` gives it; it is not changed.
        preprocessing: height, width, channels and interpolation of the view, and the mean colour of opened corners.
        settings: how far the view may differ from the picture.
        seed: a number from 0, of any size. Each change has its own place in the draw: with one of them switched off,
            the others stay as they were.

    Returns:
        uint8 array (H, W, C) on the 0-255 scale, as `Preprocessing.pixels` gives it.

    >>> picture = Image.linear_gradient("L")
    >>> augmented_pixels(picture, Preprocessing(height=96, width=96), AugmentationSettings(), seed=3).shape
    (96, 96, 3)
    """
    dice = random.Random(seed)
    mirrored = dice.random() < 0.5
    brightness = 1 + _between(-settings.brightness, settings.brightness, dice)
    contrast = 1 + _between(-settings.contrast, settings.contrast, dice)
    degrees = _between(-settings.rotation_degrees, settings.rotation_degrees, dice)
    # Last, because it alone takes a varying number of draws.
    view = _cropped(image, preprocessing, settings, dice)
    if settings.flip and mirrored:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Before the turn, so that the corners it opens keep the mean colour and do not count as part of the picture.
    view = _turned(_relit(view, brightness, contrast), degrees, preprocessing.mean)
    return np.asarray(view, dtype=np.uint8).reshape(preprocessing.height, preprocessing.width, preprocessing.channels)


def random_crop(
    size: tuple[int, int], settings: AugmentationSettings, *, aspect_ratio: float, dice: random.Random
) -> Box:
    """Draw a crop: its area uniformly, the logarithm of its aspect ratio uniformly, then its place uniformly.

    Where ten draws do not fit into the picture, as in very wide ones, the largest allowed crop of the middle is taken.
    Edges are not rounded to whole pixels, so that a seed draws the same crop of a picture in every size.

    Args:
        size: width and height of the picture in pixels.
        settings: `smallest_crop` and `aspect_jitter` count.
        aspect_ratio: width / height of the model's input, around which the crop's own is drawn; torchvision's and
            timm's is always 1.
        dice: where the draws come from.

    Source: `RandomResizedCrop.get_params` of torchvision 0.29.
    """
    width, height = size
    stretch = math.log(settings.aspect_jitter)
    for _ in range(CROP_TRIES):
        area = width * height * _between(settings.smallest_crop, 1.0, dice)
        ratio = aspect_ratio * math.exp(_between(-stretch, stretch, dice))
        wide, high = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if wide <= width and high <= height:
            left, top = dice.random() * (width - wide), dice.random() * (height - high)
            return left, top, min(left + wide, width), min(top + high, height)
    return _middle_crop(width, height, aspect_ratio / settings.aspect_jitter, aspect_ratio * settings.aspect_jitter)


def _middle_crop(width: int, height: int, narrowest: float, widest: float) -> Box:
    """The largest centred crop whose aspect ratio is allowed."""
    wide, high = min(width, height * widest), min(height, width / narrowest)
    left, top = (width - wide) / 2, (height - high) / 2
    return left, top, min(left + wide, width), min(top + high, height)


def _cropped(
    image: Image.Image, preprocessing: Preprocessing, settings: AugmentationSettings, dice: random.Random
) -> Image.Image:
    if settings.smallest_crop == 1:
        pixels = preprocessing.pixels(image)
        return Image.fromarray(pixels if preprocessing.channels == 3 else pixels[..., 0])
    size = preprocessing.width, preprocessing.height
    box = random_crop(image.size, settings, aspect_ratio=size[0] / size[1], dice=dice)
    mode = "RGB" if preprocessing.channels == 3 else "L"
    picture = image if image.mode == mode else image.convert(mode)
    resampling = Image.Resampling[preprocessing.interpolation.upper()]
    return picture.resize(size, resampling, box=box, reducing_gap=REDUCING_GAP)


def _relit(view: Image.Image, brightness: float, contrast: float) -> Image.Image:
    """Both factors in one table, so that nothing is rounded or clipped between them.

    Source: Pillow's `ImageEnhance.Brightness` and `Contrast`, which torchvision's `ColorJitter` uses.
    """
    if brightness == contrast == 1:
        return view
    grey = ImageStat.Stat(view.convert("L")).mean[0]
    values = brightness * (grey + contrast * (np.arange(256) - grey))
    table = np.rint(values.clip(0, 255)).astype(int).tolist()
    return view.point(table * len(view.getbands()))


def _turned(view: Image.Image, degrees: float, mean: tuple[float, ...]) -> Image.Image:
    if degrees == 0:
        return view
    colour = tuple(round(255 * value) for value in mean)
    fill = colour if len(view.getbands()) == 3 else colour[0]
    return view.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=fill)


def _between(low: float, high: float, dice: random.Random) -> float:
    # Of all of Python's draws only random() is promised to stay the same from version to version.
    return low + (high - low) * dice.random()
