"""All pictures of a small data set in memory, for studies that read them again and again."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from vitrail.data.checked_files import checked_places
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing

AT_ONCE = 256


@dataclass(frozen=True)
class PicturesInMemory:
    """All images of a data set in memory, by their id: pixels (H, W, 3)."""

    pixels: Mapping[str, np.ndarray]
    classes: list[str]

    def of(self, rows: pa.Table) -> UInt8[np.ndarray, "N H W 3"]:
        """Pixels (N, H, W, 3) of these rows, in their order."""
        return np.stack([self.pixels[identity] for identity in rows["id"].to_pylist()])


def read_pictures(rows: pa.Table, preprocessing: Preprocessing, *, workers: int) -> PicturesInMemory:
    """Decode every image of the table once.

    Raises:
        UnreadableImageError: an image cannot be decoded.
    """
    batches = pixel_batches(checked_places(rows), preprocessing, batch_size=AT_ONCE, workers=workers)
    pixels = np.concatenate(list(batches))
    return PicturesInMemory(
        dict(zip(rows["id"].to_pylist(), pixels, strict=True)), sorted(set(rows["label"].to_pylist()))
    )
