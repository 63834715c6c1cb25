"""One preprocessing object, used for validation, prediction, evaluation and serving alike, stored in the package."""

import math
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import model_validator

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.settings import Settings
from vitrail.data.resampling import resized_window
from vitrail.data.tone import Tone

Resampling = Literal["nearest", "bilinear", "bicubic", "lanczos"]
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Preprocessing(Settings):
    """From a picture to the numbers a model was trained on: resize, crop, scale to 0-1, normalise.

    Source: `timm.data.create_transform(is_training=False)` of timm 1.0.31; same pixels, without torch.
    """

    height: int = 224
    """Height of the model's input in pixels."""
    width: int = 224
    """Width of the model's input in pixels."""
    crop_fraction: float = 0.875
    """Part of the resized picture's short side that the crop keeps (timm's `crop_pct`)."""
    crop_mode: Literal["center", "squash", "border"] = "center"
    """`center`: the short side fits, the middle is kept; `squash`: the aspect ratio is given up; `border`: the long
    side fits, the rest is filled."""
    interpolation: Resampling = "bicubic"
    """Resampling filter of the resize."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    """Mean of each channel on the 0-1 scale, subtracted from the pixels."""
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    """Standard deviation of each channel on the 0-1 scale, by which the pixels are divided."""
    normalization: Literal["weights", "domain"] = "weights"
    """Whether mean and std came with the pretrained weights or were measured on the training images."""
    tone: Tone = Tone()
    """How values of more than 8 bits become grey levels, before anything else is done."""

    @model_validator(mode="before")
    @classmethod
    def _with_tone(cls, values: Any) -> Any:
        return with_tone(values) if isinstance(values, dict) else values

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Resize and crop an upright RGB or grey picture.

        Returns:
            uint8 array (H, W, C) on the 0-255 scale; the model's input is `(pixels / 255 - mean) / std`.

        Raises:
            UnreadableImageError: the picture has no pixels.
        """
        if not image.width * image.height:
            raise UnreadableImageError(f"image: has no pixels ({image.width} × {image.height})", hint="remove it")
        picture = image.convert("RGB" if self.channels == 3 else "L")
        size = self.resized_size(picture)
        filter_ = _FILTERS[self.interpolation]
        if size[0] >= self.width and size[1] >= self.height:
            left, top = _middle(size[0], self.width), _middle(size[1], self.height)
            cropped = resized_window(picture, size, (left, top, left + self.width, top + self.height), filter_)
        else:
            cropped = self._on_canvas(picture if size == picture.size else picture.resize(size, filter_))
        return np.asarray(cropped, dtype=np.uint8).reshape(self.height, self.width, self.channels)

    @property
    def resized(self) -> tuple[int, int]:
        """(height, width) that the picture is resized to before the crop; see `crop_mode` for what of it fits."""
        return math.floor(self.height / self.crop_fraction), math.floor(self.width / self.crop_fraction)

    def resized_size(self, picture: Image.Image) -> tuple[int, int]:
        """(width, height) of the whole picture after the resize, before the crop."""
        height, width = self.resized
        if self.crop_mode == "center" and height == width:
            # torchvision truncates the long side where timm's ResizeKeepRatio rounds it: both are kept as they are.
            short, long = sorted(picture.size)
            other = int(height * long / short)
            return (height, other) if picture.width <= picture.height else (other, height)
        if self.crop_mode == "squash":
            return width, height
        ratios = picture.height / height, picture.width / width
        ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
        return max(1, round(picture.width / ratio)), max(1, round(picture.height / ratio))

    def _on_canvas(self, picture: Image.Image) -> Image.Image:
        """The middle of a resized picture that is smaller than the model's input, with something around it."""
        left, top = _middle(picture.width, self.width), _middle(picture.height, self.height)
        fill = tuple(round(255 * value) for value in self.mean) if self.crop_mode == "border" else (0,) * self.channels
        canvas = Image.new(picture.mode, (self.width, self.height), fill if self.channels == 3 else fill[0])
        canvas.paste(picture, (-left, -top))
        return canvas


def with_tone(values: dict[str, Any]) -> dict[str, Any]:
    """Preprocessing in plain values; what was written before there was a tone says `white_level`: the same pixels."""
    if "white_level" not in values or "tone" in values:
        return values
    others = {name: value for name, value in values.items() if name != "white_level"}
    return {**others, "tone": Tone.parse(white=values["white_level"]).model_dump(mode="json")}


def _middle(available: int, wanted: int) -> int:
    """Offset of a centred window; negative where the picture is smaller than the window."""
    if wanted > available:
        return -((wanted - available) // 2)
    return round((available - wanted) / 2.0)
