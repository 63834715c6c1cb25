"""The values that a picture of more than 8 bits stores, with all their bits and their signs.

Pillow opens signed 8-bit, unsigned 32-bit and FITS numbers as if they were others, and cuts colours of 16 bits to 8.
"""

import contextlib
import io
import re
import sys

import numpy as np
from jaxtyping import UInt16
from PIL import Image

GREY_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
"""Pillow's modes of grey pictures that hold more than 8 bits."""

_SAMPLE_FORMAT, _SIGNED, _UNSIGNED = 339, 2, 1
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_NATIVE = "L" if sys.byteorder == "little" else "B"
_LOWER_BYTE = {
    f"{colours};16{order}": f"{colours};16{'L' if (order if order != 'N' else _NATIVE) == 'B' else 'B'}"
    for colours in ("RGB", "RGBA", "RGBX")
    for order in "LBN"
}
"""Raw modes of Pillow that give the upper byte of a number, and those that read the other byte of the same bytes."""


def mode_values(image: Image.Image) -> np.ndarray:
    """Values of a loaded grey picture whose mode is one of `GREY_MODES`, in this machine's byte order."""
    values = np.asarray(image)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def stored_values(image: Image.Image, content: bytes | None = None) -> np.ndarray | None:
    """Values of a picture of more than 8 bits, (H, W) or (H, W, C); None for one of 8 bits.

    Args:
        image: loaded, or opened and not yet loaded; it is loaded in any case.
        content: the bytes it was opened from; without them, colours have the 8 bits that Pillow gives.
    """
    colours = None if content is None else _colour_values(image, content)
    image.load()
    if colours is not None:
        return colours
    format_of_samples = _tiff_tag(image, _SAMPLE_FORMAT)
    if image.mode == "L" and format_of_samples == _SIGNED:
        return np.asarray(image).view(np.int8)
    if image.mode not in GREY_MODES:
        return None
    values = mode_values(image)
    if image.mode == "I" and format_of_samples == _UNSIGNED:
        return values.view(np.uint32)
    if values.dtype == np.uint16 and _tiff_tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        # Pillow turns these over where they have 8 bits, and leaves them as they are where they have more.
        return np.uint16(2 ** min(_tiff_tag(image, _BITS) or 16, 16) - 1) - values
    return _fits_values(values, content) if image.format == "FITS" and content is not None else values


def holds_more_than_8_bits(image: Image.Image) -> bool:
    """Whether an opened picture is one that `stored_values` gives values of, told from its header."""
    tiles = getattr(image, "tile", [])
    modes = [_raw_mode(tile.args) for tile in tiles]
    wide = bool(modes) and (modes == ["LA;16B"] or all(mode in _LOWER_BYTE for mode in modes))
    wide_ppm = image.format == "PPM" and image.mode == "RGB" and bool(tiles) and tiles[0].codec_name == "ppm"
    signed = image.mode == "L" and _tiff_tag(image, _SAMPLE_FORMAT) == _SIGNED
    return image.mode in GREY_MODES or wide or signed or (wide_ppm and tiles[0].args[1] > 255)


def _tiff_tag(image: Image.Image, number: int) -> int | None:
    value = getattr(image, "tag_v2", {}).get(number)
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else None


def _colour_values(image: Image.Image, content: bytes) -> UInt16[np.ndarray, "H W C"] | None:
    """Both bytes of every colour, each from a decoding of its own; None where colours have 8 bits."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return None
    if image.format == "PPM" and tiles[0].codec_name == "ppm" and image.mode == "RGB":
        return _ppm_values(image, content)
    modes = [_raw_mode(tile.args) for tile in tiles]
    is_grey = modes == ["LA;16B"]
    if not is_grey and not all(mode in _LOWER_BYTE for mode in modes):
        return None
    frame = image.tell()
    image.load()
    with Image.open(io.BytesIO(content), formats=[str(image.format)]) as other:
        if frame:
            other.seek(frame)
        # Grey and alpha of 16 bits are the four bytes of a pixel of colours and alpha.
        other.tile = [_with_raw_mode(tile, "RGBA" if is_grey else _LOWER_BYTE[mode])
                      for tile, mode in zip(other.tile, modes, strict=True)]  # fmt: skip
        lower = np.asarray(other).astype(np.uint16)
    if is_grey:
        return np.stack([lower[..., 0] << 8 | lower[..., 1], lower[..., 2] << 8 | lower[..., 3]], axis=-1)
    return np.asarray(image).astype(np.uint16) << 8 | lower


def _raw_mode(arguments: object) -> str:
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _with_raw_mode(tile: object, mode: str) -> object:
    arguments = tile.args  # type: ignore[attr-defined]
    changed = (mode, *arguments[1:]) if isinstance(arguments, tuple) else mode
    return tile._replace(args=changed)  # type: ignore[attr-defined]


def _ppm_values(image: Image.Image, content: bytes) -> UInt16[np.ndarray, "H W C"] | None:
    tile = image.tile[0]  # type: ignore[attr-defined]
    maximum = int(tile.args[1])
    width, height = image.size
    numbers = width * height * 3
    if maximum <= 255 or len(content) < tile.offset + 2 * numbers:
        return None
    stored = np.frombuffer(content, ">u2", count=numbers, offset=tile.offset)
    # As Pillow does with grey: the greatest value that the file says it could hold is white.
    spread = stored.astype(np.uint32) * 65535 // maximum
    return spread.clip(0, 65535).astype(np.uint16).reshape(height, width, 3)


def _fits_values(values: np.ndarray, content: bytes) -> np.ndarray:
    """FITS numbers are signed, and scaled by its header."""
    signed = values.view(np.int16) if values.dtype == np.uint16 else values
    scale, zero = (_fits_number(content, name) for name in (b"BSCALE", b"BZERO"))
    if scale in (None, 1.0) and zero in (None, 0.0):
        return signed
    shifted = signed * (1.0 if scale is None else scale) + (zero or 0.0)
    return shifted if np.issubdtype(values.dtype, np.floating) or scale not in (None, 1.0) else shifted.astype(np.int64)


def _fits_number(content: bytes, name: bytes) -> float | None:
    found = re.search(name.ljust(8) + rb"=\s*([-+0-9.EeDd]+)", content[:28_800])
    with contextlib.suppress(ValueError):
        return float(found[1].replace(b"D", b"E")) if found else None
    return None
