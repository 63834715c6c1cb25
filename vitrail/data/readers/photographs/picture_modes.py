"""Every way a file may store pixels, turned into what a person sees: 8-bit RGB or grey, on white."""

import io

import numpy as np
from PIL import Image, ImageCms

from vitrail.data.readers.eight_bits import on_white, toned
from vitrail.data.readers.photographs.stored_values import GREY_MODES, mode_values, stored_values
from vitrail.data.tone import Tone

_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
_AS_STORED = Tone()


def as_seen(image: Image.Image, *, tone: Tone = _AS_STORED, values: np.ndarray | None = None) -> Image.Image:
    """Turn any Pillow mode into `RGB`, or `L` where the picture is grey.

    More than 8 bits are brought to 8 by the tone; CMYK goes through its own colour profile; transparency is laid on
    white. Palettes become RGB.

    Args:
        image: a loaded picture; it is not changed.
        tone: the scale of pictures with more than 8 bits.
        values: what such a picture stores, where that was read from its file; see `stored_values`.

    Raises:
        ValueError: Pillow cannot convert the mode.
    """
    image = image.convert(_PREMULTIPLIED[image.mode]) if image.mode in _PREMULTIPLIED else image
    if values is None and tone.is_measured:
        values = stored_values(image)
    if values is None and image.mode in GREY_MODES:
        values = mode_values(image)
    if values is not None:
        return toned(values, tone)
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode in ("CMYK", "LAB"):
        return _through_profile(image)
    if image.has_transparency_data:
        return on_white(image)
    return image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _through_profile(image: Image.Image) -> Image.Image:
    """CMYK and Lab as the colour profile says, or by Pillow's plain formula where there is none that works."""
    stored = image.info.get("icc_profile")
    try:
        if image.mode == "LAB":
            profile = ImageCms.createProfile("LAB")
        elif stored:
            profile = ImageCms.getOpenProfile(io.BytesIO(stored)).profile
        else:
            return image.convert("RGB")
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        return ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image.convert("RGB")
