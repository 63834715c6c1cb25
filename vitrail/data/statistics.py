"""Statistics of a person's own images: mean and standard deviation of each channel, as the model will see them."""

from collections.abc import Sequence

import numpy as np

from vitrail.data.columns import AnyPlace
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing


def channel_statistics(
    places: Sequence[AnyPlace], preprocessing: Preprocessing, *, workers: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel on the 0-1 scale, over all pixels after resize and crop.

    A channel that never changes gets a standard deviation of 1/255, so that dividing by it does no harm.
    """
    count, total, squares = 0, np.zeros(preprocessing.channels), np.zeros(preprocessing.channels)
    for pixels in pixel_batches(places, preprocessing, batch_size=16, workers=workers):
        values = pixels.reshape(-1, preprocessing.channels).astype(np.float64) / 255
        count += len(values)
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.maximum(std, 1 / 255).tolist())
