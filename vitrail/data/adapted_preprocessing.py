"""The preprocessing of a run: that of its weights, adapted to the images that are trained on."""

from typing import Any

import pyarrow as pa

from vitrail.basics.errors import SettingsError
from vitrail.data.checked_files import checked_places
from vitrail.data.columns import in_split
from vitrail.data.image_settings import ImageSettings
from vitrail.data.inspection.value_range import measured_tone
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.statistics import channel_statistics
from vitrail.data.tone import Tone


def adapted_preprocessing(
    weights_own: Preprocessing, rows: pa.Table, settings: ImageSettings, *, workers: int
) -> Preprocessing:
    """The weights' preprocessing, adapted to the training images where that is wanted or needed.

    Images of more than 8 bits are shown on one scale, measured on all of them and stored in the package.

    Args:
        weights_own: what the weights were made with.
        rows: the image table with its splits.
        settings: what of the scale is not measured, and whose mean and standard deviation are taken.
        workers: processes that decode.
    """
    training = in_split(rows, "train")
    adapted = weights_own.model_copy(update={"tone": _tone(training, settings)})
    if settings.normalization == "weights":
        return adapted
    mean, std = channel_statistics(checked_places(training), adapted, workers=workers)
    return adapted.model_copy(update={"mean": mean, "std": std, "normalization": "domain"})


def _tone(training: pa.Table, settings: ImageSettings) -> Tone:
    """The measured scale, but for what was set.

    Raises:
        SettingsError: what was set is no scale, together with what was measured.
    """
    measured = measured_tone(training)
    ends = {"black": settings.tone_black, "white": settings.tone_white}
    chosen: dict[str, Any] = {name: value for name, value in ends.items() if value is not None}
    if chosen and not measured.is_measured:
        chosen |= {"floats": "values", "colours": "values"}
    changed = {
        **chosen,
        "window": settings.tone_window,
        "inverted": settings.tone_inverted,
        "clahe": settings.tone_clahe,
    }
    scale = {**measured.model_dump(), **changed}
    if scale["black"] >= scale["white"]:
        raise SettingsError(
            f"black must be less than white, got {scale['black']:g} and {scale['white']:g}",
            hint="--set tone_black=… --set tone_white=…, both in the unit of the images; what is not set is measured",
        )
    return Tone.parse(**scale)
