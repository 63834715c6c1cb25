"""Every way a file may store pixels, turned into what a person sees: 8-bit RGB or grey, on white."""

import io

import numpy as np
from PIL import Image, ImageCms

_SIXTEEN_BIT = {"I", "I;16", "I;16L", "I;16B", "I;16N"}
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}


def as_seen(image: Image.Image, *, white_level: int = 65535) -> Image.Image:
    """Turn any Pillow mode into `RGB`, or `L` where the picture is grey.

    Grey with more than 8 bits is scaled, not clipped; floating point is read as 0-1 or, beyond that, stretched from its
    least to its greatest value; CMYK goes through its own colour profile; transparency is laid on white. Palettes
    become RGB.

    Args:
        image: a loaded picture; it is not changed.
        white_level: the value of a 16-bit grey image that is shown as white; what is above is white too.

    Raises:
        ValueError: Pillow cannot convert the mode.
    """
    image = image.convert(_PREMULTIPLIED[image.mode]) if image.mode in _PREMULTIPLIED else image
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode in _SIXTEEN_BIT:
        return _scaled(image, white_level)
    if image.mode == "F":
        return _stretched(image)
    if image.mode in ("CMYK", "LAB"):
        return _through_profile(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _scaled(image: Image.Image, white_level: int) -> Image.Image:
    values = np.clip(np.asarray(image).astype(np.int64), 0, white_level)
    return Image.fromarray(((values * 510 + white_level) // (2 * white_level)).astype(np.uint8))


def _stretched(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return Image.fromarray(np.rint((values - low) * (255 / max(high - low, 1e-300))).astype(np.uint8))


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


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("1", "L", "LA")
    layered = image.convert("LA" if grey else "RGBA")
    alpha = layered.getchannel("A")
    colours = layered.convert("L" if grey else "RGB")
    if alpha.getextrema() == (255, 255):
        return colours
    background = Image.new(colours.mode, colours.size, "white")
    background.paste(colours, mask=alpha)
    return background
