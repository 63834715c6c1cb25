"""Test-time augmentation: one answer from several views of an image, their probabilities averaged."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from pydantic import field_validator
from scipy.special import softmax

from vitrail.basics.settings import Settings
from vitrail.data.picture_views import AS_IT_IS, CORNERS, View

Answered = Callable[[np.ndarray, Sequence[str]], tuple[np.ndarray, np.ndarray]]
"""From pixels (B, H, W, C) and names to features and logits."""


class ViewSettings(Settings):
    """Which views of an image are answered about.

    The views, and averaged probabilities, are those of `TestTimeAugmentation` in the articles that Vitrail grew from:
    five crops, the scales 0.8 to 1.2, mirrored or not. The image as it is without all this is always the first view.

    Mirrored views are taken only where they are asked for. Whether left and right matter (in a chest, on a road, in
    text) is in no package: training mirrors unless told not to (`flip`), whatever the images show.
    """

    tta_crops: bool = True
    """The four corners beside the middle; the picture is shown large enough that all five differ."""
    tta_scales: tuple[float, ...] = (0.8, 0.9, 1.0, 1.1, 1.2)
    """How large the middle is shown; 1 is as without."""
    tta_flips: bool = False
    """Every view mirrored, too: not where left and right matter, as in many medical images and in text."""

    @field_validator("tta_scales", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """As somebody writes several on a command line: `0.9,1.1`, or one alone."""
        if isinstance(value, str):
            return [each.strip() for each in value.split(",") if each.strip()]
        return [value] if isinstance(value, int | float) else value

    @field_validator("tta_scales")
    @classmethod
    def _possible(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0.25 <= value <= 4 for value in values):
            raise ValueError("scales from 0.25 to 4")
        return tuple(sorted(set(values)))

    @property
    def views(self) -> tuple[View, ...]:
        """All of them, each once; the first is the image as it is.

        >>> len(ViewSettings().views), len(ViewSettings(tta_flips=True).views)
        (9, 18)
        """
        corners = [View(place=place) for place in CORNERS] if self.tta_crops else []
        plain = dict.fromkeys([AS_IT_IS, *corners, *(View(scale) for scale in self.tta_scales)])
        mirrored = [View(view.scale, view.place, mirrored=True) for view in plain] if self.tta_flips else []
        return (*plain, *mirrored)

    @property
    def words(self) -> str:
        """What is done, in a few words.

        >>> ViewSettings().words
        '9 views: 5 crops, scales 0.8, 0.9, 1.1, 1.2'
        """
        views = self.views
        parts = ["5 crops" if self.tta_crops else "the image as it is"]
        others = [f"{scale:g}" for scale in self.tta_scales if scale != 1]
        parts += [f"scale{'s' if len(others) > 1 else ''} {', '.join(others)}"] if others else []
        parts += ["each also mirrored"] if self.tta_flips else []
        return f"{len(views)} view{'s' if len(views) > 1 else ''}: {', '.join(parts)}"


def several_views(asked: "ViewSettings | bool | None") -> ViewSettings | None:
    """The settings that are meant by `tta=True`, by settings, or by nothing."""
    if isinstance(asked, ViewSettings):
        return asked
    return ViewSettings() if asked else None


def averaged_answers(
    answered: Answered, pixels: UInt8[np.ndarray, "B V H W C"], names: Sequence[str], *, batch_size: int
) -> tuple[Float[np.ndarray, "B D"], Float[np.ndarray, "B K"]]:
    """Features of the first view, and logits whose softmax is the mean of the views' probabilities.

    Features stay those of the image as it is, so that they can be compared with features elsewhere. With one view
    both are, bit for bit, what `answered` says.

    Args:
        answered: of the model.
        pixels: all views of each image.
        names: of the images.
        batch_size: views per forward pass.
    """
    count, views = pixels.shape[:2]
    if views == 1:
        return answered(pixels[:, 0], names)
    flat = pixels.reshape(count * views, *pixels.shape[2:])
    owners = [name for name in names for _ in range(views)]
    parts = [
        answered(flat[start : start + batch_size], owners[start : start + batch_size])
        for start in range(0, len(flat), batch_size)
    ]
    features, logits = (np.concatenate(each) for each in zip(*parts, strict=True))
    probabilities = softmax(logits.astype(np.float64), axis=1).reshape(count, views, -1).mean(axis=1)
    # A probability that is 0 but for rounding would have no logarithm.
    return features[::views], np.log(probabilities.clip(1e-300)).astype(np.float32)
