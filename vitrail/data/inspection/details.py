"""What small print two pictures have in common: the test, on their pixels, whether look-alikes show the same thing.

Hashes and sketches know 8 × 8 frequencies. Slices of scans, documents and other pictures of one layout share these
without being copies of each other; they do not share their edges everywhere.
"""

import numpy as np
from jaxtyping import Float, Int8
from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.file_contents import file_content
from vitrail.data.inspection.value_range import tone_of_one, value_facts
from vitrail.data.opened_pictures import opened_picture
from vitrail.data.readers.reader import Wanted

SIDE = 64
_WANTED = Wanted(grey=True, least=lambda size: (2 * SIDE, 2 * SIDE))
_BLUR = 4
_BLOCKS = 4

LEAST_AGREEMENT = 0.75
"""Least correlation of the details of two copies. Measured on photographs, CT slices and dermatoscopy: copies that are
recompressed (JPEG 50), half as large or 10 % brighter have 0.89 at least, 1 % cropped on each side 0.74 at least."""

LEAST_EVERYWHERE = 0.6
"""Least correlation in all but an eighth of the 4 × 4 blocks that have any detail: of different slices of one patient,
few pairs reach it; of 1 % cropped copies 99 %."""

_FAINT = 0.1  # of the picture's contrast: a block with less has nothing to compare
_PAIRS_AT_ONCE = 1024


def details_of(place: tuple[str, int]) -> Int8[np.ndarray, "64 64"] | None:
    """The edges of a picture: what a slight blur takes away, scaled to signed bytes; None where it cannot be read."""
    path, frame = place
    try:
        content = file_content(path)
        with opened_picture(content, name=path, frame=frame, wanted=_WANTED) as picture:
            values = picture.values()
            grey = picture.seen(tone_of_one(value_facts(values) if values is not None else {})).convert("L")
    except UnreadableImageError:
        return None
    small = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    exact = Image.fromarray(np.asarray(small, dtype=np.float32))
    blurred = exact.reduce(_BLUR).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    edges = np.asarray(exact) - np.asarray(blurred)
    return np.rint(edges * (127 / max(float(np.abs(edges).max()), 1.0))).astype(np.int8)


def same_details(first: Int8[np.ndarray, "M 64 64"], second: Int8[np.ndarray, "M 64 64"]) -> np.ndarray:
    """For pairs of pictures, whether their details agree as those of copies do: bool array (M,)."""
    found = np.empty(len(first), bool)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        found[part] = _agree(first[part].astype(np.float32), second[part].astype(np.float32))
    return found


def _agree(first: Float[np.ndarray, "M 64 64"], second: Float[np.ndarray, "M 64 64"]) -> np.ndarray:
    whole, contrast, other = _correlation(first.reshape(len(first), 1, -1), second.reshape(len(second), 1, -1))
    blocks, contrasts, others = _correlation(_in_blocks(first), _in_blocks(second))
    faint = (contrasts < _FAINT * contrast) & (others < _FAINT * other)
    blocks[faint] = 1.0
    allowed = (_BLOCKS**2 - faint.sum(axis=1)) // 8
    worst = np.take_along_axis(np.sort(blocks, axis=1), allowed[:, None], axis=1)[:, 0]
    return (whole[:, 0] >= LEAST_AGREEMENT) & (worst >= LEAST_EVERYWHERE)


def _in_blocks(pictures: Float[np.ndarray, "M 64 64"]) -> Float[np.ndarray, "M 16 256"]:
    step = SIDE // _BLOCKS
    parts = pictures.reshape(-1, _BLOCKS, step, _BLOCKS, step).transpose(0, 1, 3, 2, 4)
    return parts.reshape(-1, _BLOCKS**2, step**2)


def _correlation(
    first: Float[np.ndarray, "M K D"], second: Float[np.ndarray, "M K D"]
) -> tuple[Float[np.ndarray, "M K"], Float[np.ndarray, "M K"], Float[np.ndarray, "M K"]]:
    """Correlation of rows, and the standard deviation of either."""
    one, other = first - first.mean(axis=2, keepdims=True), second - second.mean(axis=2, keepdims=True)
    spread, other_spread = one.std(axis=2), other.std(axis=2)
    return (one * other).mean(axis=2) / np.maximum(spread * other_spread, 1e-6), spread, other_spread
