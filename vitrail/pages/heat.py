"""Maps drawn on pictures, and sheets of small squares: on a stated scale, never stretched to what a map holds."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

STRONGEST = 8.0
"""A patch with so many times an even share, or more, has the strongest colour; with one or less it has none."""

SCALE_WORDS = "colour begins above an even share; full at 8 times and more"

_LEAST_SIDE = 224
"""Smaller pictures are enlarged to this."""

_WARM = np.array([(255, 214, 64), (255, 140, 26), (214, 30, 60), (122, 12, 102)], dtype=np.float64)
_COLD = np.array([(245, 243, 238), (150, 180, 226), (52, 92, 184), (20, 38, 96)], dtype=np.float64)
_GAP, _LINE = 10, 16


def heat_picture(
    picture: UInt8[np.ndarray, "H W C"],
    times_even: Float[np.ndarray, "rows columns"],
    patch: tuple[int, int],
) -> Image.Image:
    """A map over its picture: one square a patch, on the scale that all maps share.

    A patch that gets an even share or less shows the picture alone, so that a map without preference looks like none;
    colour grows with the logarithm up to `STRONGEST`.

    Args:
        picture: what the network saw; shown in grey.
        times_even: how many times an even share every patch has.
        patch: height and width of a patch in pixels.
    """
    strength = np.log2(np.clip(times_even, 1.0, STRONGEST)) / np.log2(STRONGEST)
    whole = np.kron(strength, np.ones(patch))[: picture.shape[0], : picture.shape[1]]
    whole = np.pad(whole, [(0, picture.shape[0] - whole.shape[0]), (0, picture.shape[1] - whole.shape[1])])
    grey = picture.mean(axis=2, keepdims=True) * 0.85 + 20
    opaque = np.where(whole > 0, 0.15 + 0.6 * whole, 0.0)[..., None]
    mixed = grey * (1 - opaque) + _ramp(_WARM, whole) * opaque
    return _enlarged(Image.fromarray(mixed.round().astype(np.uint8)))


def plain_picture(picture: UInt8[np.ndarray, "H W C"]) -> Image.Image:
    """What the network saw."""
    return _enlarged(Image.fromarray(np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))))


def heat_legend(width: int = 224) -> Image.Image:
    """The scale of `heat_picture`, with numbers."""
    strip = np.broadcast_to(_ramp(_WARM, np.linspace(0, 1, width)), (10, width, 3))
    sheet = Image.new("RGB", (width + 2 * _GAP, 10 + _LINE), "white")
    sheet.paste(Image.fromarray(strip.round().astype(np.uint8)), (_GAP, 0))
    draw = ImageDraw.Draw(sheet)
    for times in (1, 2, 4, 8):
        place = _GAP + width * np.log2(times) / np.log2(STRONGEST)
        draw.text((place, 11), f"{times}x", fill="black", font=_font(), anchor="ma")
    return sheet


def captioned(panels: Sequence[tuple[str, Image.Image]], *, under: Sequence[str] = ()) -> Image.Image:
    """Pictures side by side, a caption above each, and lines of text with the scale below."""
    width = _GAP + sum(each.width + _GAP for _, each in panels)
    tall = max(each.height for _, each in panels)
    legend = heat_legend()
    height = 2 * _GAP + 2 * _LINE + tall + max(_LINE * len(under), legend.height) + _GAP
    sheet = Image.new("RGB", (max(width, legend.width), height), "white")
    draw, x = ImageDraw.Draw(sheet), _GAP
    for caption, picture in panels:
        for row, line in enumerate(_wrapped(caption, picture.width)):
            draw.text((x, 4 + _LINE * row), line, fill="black", font=_font())
        sheet.paste(picture, (x, _GAP + 2 * _LINE))
        x += picture.width + _GAP
    below = 2 * _GAP + 2 * _LINE + tall
    sheet.paste(legend, (sheet.width - legend.width, below))
    for row, line in enumerate(under):
        draw.text((_GAP, below + _LINE * row), line, fill="black", font=_font())
    return sheet


def filter_sheet(components: Float[np.ndarray, "M C h w"], *, side: int = 64, across: int = 7) -> Image.Image:
    """Components of patch filters as squares, most important first; grey is 0, each has a scale of its own."""
    largest = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
    pixels = 127.5 + 127.5 * components / np.where(largest > 0, largest, 1)
    tiles = []
    for each in pixels.round().astype(np.uint8).transpose(0, 2, 3, 1):
        shown = each if each.shape[2] == 3 else np.repeat(each[..., :1], 3, axis=2)
        tiles.append(Image.fromarray(shown).resize((side, side), Image.Resampling.NEAREST))
    return _tiled(tiles, across=across, gap=4)


def similarity_sheet(similarity: Float[np.ndarray, "rows columns rows columns"], *, most: int = 640) -> Image.Image:
    """A small map for every patch, at its place: how similar its position is to that of every other, −1 to 1.

    Warm is alike, white is 0, blue is opposite; grey is not known.
    """
    rows, columns = similarity.shape[:2]
    side = max(1, most // max(rows * rows, columns * columns))
    strength = np.abs(np.nan_to_num(similarity))[..., None]
    warm = np.concatenate([_COLD[:1], _WARM[:3]])
    colours = np.where(similarity[..., None] >= 0, _ramp(warm, strength[..., 0]), _ramp(_COLD, strength[..., 0]))
    colours = np.where(np.isnan(similarity)[..., None], 128, colours).round().astype(np.uint8)
    size = (columns * side, rows * side)
    tiles = [
        Image.fromarray(colours[row, column]).resize(size, Image.Resampling.NEAREST)
        for row in range(rows)
        for column in range(columns)
    ]
    return _tiled(tiles, across=columns, gap=2)


def _tiled(tiles: Sequence[Image.Image], *, across: int, gap: int) -> Image.Image:
    width, height = tiles[0].size
    rows = -(-len(tiles) // across)
    across = min(across, len(tiles))
    sheet = Image.new("RGB", (across * (width + gap) + gap, rows * (height + gap) + gap), "white")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        sheet.paste(tile, (gap + column * (width + gap), gap + row * (height + gap)))
    return sheet


def _ramp(colours: Float[np.ndarray, "S 3"], strength: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape 3"]:
    """Colours between the given ones, evenly spaced over [0, 1]."""
    places = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(strength, places, colours[:, channel]) for channel in range(3)], axis=-1)


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = -(-_LEAST_SIDE // max(picture.size))
    size = (picture.width * factor, picture.height * factor)
    return picture if factor <= 1 else picture.resize(size, Image.Resampling.NEAREST)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(12)


def _wrapped(text: str, width: int) -> list[str]:
    """At most two lines that fit the width."""
    most = max(8, int(width / 6.2))
    if len(text) <= most:
        return [text]
    cut = text.rfind(" ", 0, most + 1)
    first, rest = (text[:cut], text[cut + 1 :]) if cut > 0 else (text[:most], text[most:])
    return [first, rest if len(rest) <= most else f"{rest[: most - 1]}…"]


def picture_uri(image: Image.Image, *, quality: int = 82) -> str:
    """A picture as a `data:` address, without anything but its pixels."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
