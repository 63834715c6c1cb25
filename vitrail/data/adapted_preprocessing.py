"""The preprocessing of a run: that of its weights, adapted to the images that are trained on."""

from typing import Literal

import pyarrow as pa

from vitrail.data.checked_files import checked_places
from vitrail.data.columns import in_split
from vitrail.data.inspection.value_range import measured_tone
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.statistics import channel_statistics


def adapted_preprocessing(
    weights_own: Preprocessing, rows: pa.Table, normalization: Literal["weights", "domain"], *, workers: int
) -> Preprocessing:
    """The weights' preprocessing, adapted to the training images where that is wanted or needed.

    Images of more than 8 bits are shown on one scale, measured on all of them and stored in the package.

    Args:
        weights_own: what the weights were made with.
        rows: the image table with its splits.
        normalization: whose mean and standard deviation are taken: the weights' or the training images'.
        workers: processes that decode.
    """
    training = in_split(rows, "train")
    adapted = weights_own.model_copy(update={"tone": measured_tone(training)})
    if normalization == "weights":
        return adapted
    mean, std = channel_statistics(checked_places(training), adapted, workers=workers)
    return adapted.model_copy(update={"mean": mean, "std": std, "normalization": "domain"})
