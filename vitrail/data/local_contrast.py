"""Contrast-limited adaptive histogram equalisation (CLAHE): grey levels spread where they lie, tile by tile."""

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

TILES = 8
"""Tiles along either side, as in OpenCV."""

_ROWS_AT_ONCE = 128  # bounds the memory of the arithmetic, whatever the picture's size


def locally_equalised(levels: Float32[np.ndarray, "H W"], limit: float) -> UInt8[np.ndarray, "H W"]:
    """Grey levels with more contrast around every place; fractions of a level are used to the last.

    Source: K. Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994, as OpenCV 5.0 has
    it (`cv2.createCLAHE(limit, (8, 8))`, `clahe.cpp`): on whole levels the same.

    Args:
        levels: from 0 to 255.
        limit: how often a level may occur in a tile, in parts of its mean; what is above is given to all levels.
    """
    tables, tile_height, tile_width = _tables(np.floor(levels + 0.5).astype(np.uint8), limit)
    left, right, across = _neighbours(np.arange(levels.shape[1]), tile_width)
    found = np.empty(levels.shape, np.uint8)
    for start in range(0, len(levels), _ROWS_AT_ONCE):
        part = levels[start : start + _ROWS_AT_ONCE].astype(np.float64)
        above, below, down = _neighbours(np.arange(start, start + len(part)), tile_height)
        upper, lower = (
            (1 - across) * _looked_up(tables, rows, left, part) + across * _looked_up(tables, rows, right, part)
            for rows in (above, below)
        )
        found[start : start + len(part)] = np.rint((1 - down[:, None]) * upper + down[:, None] * lower)
    return found


def locally_equalised_picture(picture: Image.Image, limit: float) -> Image.Image:
    """The same for a picture of 8 bits; of colours, their brightness alone (Y of YCbCr)."""
    if picture.mode == "L":
        return Image.fromarray(locally_equalised(np.asarray(picture, np.float32), limit))
    brightness, *colours = picture.convert("YCbCr").split()
    return Image.merge("YCbCr", (locally_equalised_picture(brightness, limit), *colours)).convert("RGB")


def _tables(whole: UInt8[np.ndarray, "H W"], limit: float) -> tuple[Float[np.ndarray, "8 8 256"], int, int]:
    """What becomes of each level in every tile, its share of the pixels that are not brighter; and the tiles' size."""
    height, width = whole.shape
    if height % TILES or width % TILES:  # where one side is not divided evenly, OpenCV extends both
        more = ((0, TILES - height % TILES), (0, TILES - width % TILES))
        whole = np.pad(whole, more, "reflect") if min(height, width) > TILES else np.pad(whole, more, "symmetric")
    tile_height, tile_width = whole.shape[0] // TILES, whole.shape[1] // TILES
    tiles = whole.reshape(TILES, tile_height, TILES, tile_width).swapaxes(1, 2)
    tables = np.array([[_table(tile.ravel(), limit) for tile in row] for row in tiles])
    return tables, tile_height, tile_width


def _table(tile: UInt8[np.ndarray, " n"], limit: float) -> Float[np.ndarray, " 256"]:
    counts = np.bincount(tile, minlength=256)
    clipped = np.minimum(counts, max(int(limit * tile.size / 256), 1))
    spare = int(tile.size - clipped.sum())
    clipped += spare // 256
    left = spare % 256
    if left:
        step = max(256 // left, 1)
        clipped[: left * step : step] += 1
    return np.rint(clipped.cumsum() * (255 / tile.size))


def _neighbours(places: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray, Float[np.ndarray, " n"]]:
    """For pixels along a side, the tiles whose middles they lie between, and how far from the first they are."""
    exact = places / tile - 0.5
    first = np.floor(exact).astype(np.int64)
    return np.maximum(first, 0), np.minimum(first + 1, TILES - 1), exact - first


def _looked_up(
    tables: Float[np.ndarray, "8 8 256"], rows: np.ndarray, columns: np.ndarray, levels: Float[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W"]:
    """Levels by the table of one tile for each place; between two whole levels, what lies between theirs."""
    low = np.floor(levels).astype(np.int64)
    share = levels - low
    first = tables[rows[:, None], columns[None, :], low]
    return first + share * (tables[rows[:, None], columns[None, :], np.minimum(low + 1, 255)] - first)
