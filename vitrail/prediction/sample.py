"""Images to prepare a predictor on: the caller's own, or, where there are none yet, some that come from formulas."""

from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vitrail.basics.errors import InputError, UnreadableImageError
from vitrail.data.formula.rendering import formula_image
from vitrail.data.formula.settings import FormulaSettings
from vitrail.data.given_pictures import given_pictures, read_pictures
from vitrail.data.preprocessing import Preprocessing
from vitrail.prediction.runtimes.comparing import COMPARED_IMAGES

_DRAWN = FormulaSettings(image_size=64, classes=8)
"""Eight classes, the kinds of formula in turn: images that lie far apart."""


def sample_pixels(sample: Any, preprocessing: Preprocessing) -> UInt8[np.ndarray, "B H W C"]:
    """Pixels of at most 32 images: the first of `sample` that can be read, or drawn ones where it is None.

    Raises:
        InputError: a path does not exist, or there is no image.
        UnreadableImageError: none of the images can be read.
    """
    if sample is None:
        sample = [Image.fromarray(formula_image(_DRAWN, number, 0)) for number in range(_DRAWN.classes)]
    found, fault = [], None
    for _, each in read_pictures(given_pictures(sample), preprocessing, workers=0):
        if isinstance(each.pixels, UnreadableImageError):
            fault = fault or each.pixels
        else:
            found.append(each.pixels)
        if len(found) == COMPARED_IMAGES:
            break
    if not found:
        raise fault or InputError("the sample holds no images", hint="leave it out, or give some of those to come")
    return np.stack(found)
