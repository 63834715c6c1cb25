"""Small pictures that travel inside the page."""

import base64
import io

from PIL import Image

LARGEST_PIXELS = 160


def thumbnail_uri(image: Image.Image, *, pixels: int = LARGEST_PIXELS, quality: int = 80) -> str:
    """A JPEG of at most `pixels` on its longer side as a `data:` address; the image itself is left as it is.

    Nothing but pixels goes in: camera tags, comments and colour profiles stay behind. What is transparent becomes
    white.

    Args:
        image: any mode that Pillow converts to RGB.
        pixels: at most 160, so that a page with many pictures stays small.
    """
    small = image.copy()
    small.thumbnail((min(pixels, LARGEST_PIXELS),) * 2)
    if small.has_transparency_data:
        white = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(white, small.convert("RGBA"))
    # A fresh image has no metadata that a writer could carry over.
    clean = Image.new("RGB", small.size)
    clean.paste(small.convert("RGB"))
    buffer = io.BytesIO()
    clean.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
