"""How a picture is shown to a model of the transformers library: its `preprocessor_config.json` in timm's words."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field

from vitrail.basics.errors import SettingsError
from vitrail.basics.settings import Settings
from vitrail.basics.strict_json import strict_json
from vitrail.models.description import Finite, Positive, Side

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of its resampling filters, as far as they are known here."""
_UNDERSTOOD = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}
_FULL_SCALE = 255.0

Sides = Side | dict[str, Side]


class PicturesConfig(Settings):
    """A `preprocessor_config.json` of ViTImageProcessor, DeiTImageProcessor or BitImageProcessor.

    Source: transformers 5.23 and, for files of earlier versions (`size` as one number), 4.50.
    """

    model_config = ConfigDict(extra="ignore")

    do_resize: bool = True
    size: Sides | None = None
    resample: Literal[0, 1, 2, 3]
    do_center_crop: bool = False
    crop_size: Sides | None = None
    do_rescale: bool = True
    rescale_factor: float = Field(default=1 / 255, gt=0, le=1, allow_inf_nan=False)
    do_normalize: bool = True
    image_mean: tuple[Finite, ...] = ()
    image_std: tuple[Positive, ...] = ()


def described_pictures(content: bytes, *, channels: int, image_size: tuple[int, int]) -> dict[str, Any]:
    """What a `preprocessor_config.json` says, as fields of timm's description of weights.

    Args:
        content: the file.
        channels: of the pictures.
        image_size: (height, width) that the network was made for, taken where the file resizes nothing.

    Raises:
        ValueError: no such description, or one that asks for what is not done here; in words.
    """
    written = strict_json(content)
    if not isinstance(written, Mapping):
        raise ValueError("an object was expected")
    others = [name for name, value in written.items() if name.startswith("do_") and value and name not in _UNDERSTOOD]
    if others:
        raise ValueError(f"it asks for {others[0]}, which is not done here")
    try:
        config = PicturesConfig.parse(**{name: value for name, value in written.items() if value is not None})
    except SettingsError as error:
        raise ValueError(error.message) from None
    return {
        **_window(config, image_size),
        "interpolation": _FILTERS[config.resample],
        **_normalised(config, channels),
        "input_size": (channels, *_shown_size(config, image_size)),
    }


def _shown_size(config: PicturesConfig, image_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of what the network sees."""
    if config.do_center_crop:
        return _both(config.crop_size, "crop_size")
    if not config.do_resize:
        return image_size
    if isinstance(config.size, Mapping) and "shortest_edge" in config.size:
        raise ValueError("size gives the shortest edge and nothing is cropped, so pictures would differ in size")
    return _both(config.size, "size")


def _window(config: PicturesConfig, image_size: tuple[int, int]) -> dict[str, Any]:
    """Resize and crop: `squash` gives up the aspect ratio as `size` with height and width does."""
    height, width = _shown_size(config, image_size)
    if not config.do_center_crop or not config.do_resize:
        return {"crop_mode": "squash", "crop_pct": 1.0}
    size = config.size
    if isinstance(size, Mapping) and "shortest_edge" in size:
        if height != width:
            raise ValueError(f"a shortest edge with a crop of {height}×{width}; a square crop was expected")
        return {"crop_mode": "center", "crop_pct": _fraction(height, size["shortest_edge"])}
    resized = _both(size, "size")
    fractions = {_fraction(height, resized[0]), _fraction(width, resized[1])}
    if len(fractions) > 1:
        raise ValueError(f"size {resized} and crop {(height, width)} differ in their proportions")
    return {"crop_mode": "squash", "crop_pct": fractions.pop()}


def _fraction(shown: int, resized: int) -> float:
    """The part that a crop keeps, such that `floor(shown / part)` is the resized side again."""
    part = shown / resized
    return part if int(shown / part) == resized else float(np.nextafter(part, 0.0))


def _both(size: Sides | None, name: str) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
        return size["height"], size["width"]
    raise ValueError(f"{name} is {size!r}, height and width were expected")


def _normalised(config: PicturesConfig, channels: int) -> dict[str, Any]:
    """Mean and standard deviation for pixels of 0 to 1, whatever range the file brings them to."""
    mean = np.asarray(config.image_mean if config.do_normalize else (0.0,) * channels)
    std = np.asarray(config.image_std if config.do_normalize else (1.0,) * channels)
    if len(mean) != channels or len(std) != channels:
        raise ValueError(f"image_mean and image_std have {len(mean)} and {len(std)} values for {channels} channels")
    factor = config.rescale_factor if config.do_rescale else 1.0
    scale = 1.0 if factor * _FULL_SCALE == 1.0 else factor * _FULL_SCALE
    return {"mean": tuple((mean / scale).tolist()), "std": tuple((std / scale).tolist())}
