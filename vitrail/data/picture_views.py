"""Several views of one picture for one answer: its middle and corners, nearer and farther, mirrored or not.

All views have the size of the model's input, so that every family and every runtime takes them, whatever its patches:
a scale says how large the picture is shown, not how many pixels the model is given.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.augmentation import REDUCING_GAP, Box
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.tone import Tone

Place = Literal["centre", "top left", "top right", "bottom left", "bottom right"]

CORNERS: tuple[Place, ...] = ("top left", "top right", "bottom left", "bottom right")

CORNER_ROOM = 8 / 7
"""How much larger than the view a picture is at least shown for its corners, so that they differ from its middle: the
256 to 224 pixels of A. Krizhevsky et al. (2012), ImageNet Classification with Deep Convolutional Neural Networks."""


@dataclass(frozen=True)
class View:
    """One view of a picture.

    Attributes:
        scale: how many times as large as usual the picture is shown.
        place: which part of it is seen.
        mirrored: whether left and right are exchanged.
    """

    scale: float | int = 1.0
    place: Place = "centre"
    mirrored: bool = False


AS_IT_IS = View()
"""What the model is shown without any of this."""


@dataclass(frozen=True)
class SeveralViews:
    """Preprocessing that gives several views of a picture, instead of one; each a function of the picture alone.

    A corner is one of the resized picture as a whole, at least `CORNER_ROOM` times the view. What of a picture that is
    shown smaller does not fill the view is filled with the model's mean colour.

    Attributes:
        preprocessing: of the model.
        views: in order; those as the model usually sees a picture are, bit for bit, what `preprocessing` gives.
    """

    preprocessing: Preprocessing
    views: tuple[View, ...] = (AS_IT_IS,)

    @property
    def tone(self) -> Tone:
        """See `Preprocessing`."""
        return self.preprocessing.tone

    def pixels(self, image: Image.Image) -> UInt8[np.ndarray, "V H W C"]:
        """All views of an upright RGB or grey picture, on the 0-255 scale.

        Raises:
            UnreadableImageError: the picture has no pixels.

        >>> gradient = Image.linear_gradient("L")
        >>> shown = Preprocessing(height=96, width=96)
        >>> SeveralViews(shown, (View(), View(0.8), View(place="top left"))).pixels(gradient).shape
        (3, 96, 96, 3)
        """
        if not image.width * image.height:
            raise UnreadableImageError(f"image: has no pixels ({image.width} × {image.height})", hint="remove it")
        seen: dict[View, np.ndarray] = {}
        for view in self.views:
            plain = View(view.scale, view.place)
            if plain not in seen:
                seen[plain] = self._seen(image, plain)
        return np.stack([seen[View(each.scale, each.place)][:, :: -1 if each.mirrored else 1] for each in self.views])

    def _seen(self, image: Image.Image, view: View) -> UInt8[np.ndarray, "H W C"]:
        shown = self.preprocessing
        if view == AS_IT_IS:
            return shown.pixels(image)
        picture = image.convert("RGB" if shown.channels == 3 else "L")
        wide, high = self._size(picture, view)
        seen = min(max(1, round(wide)), shown.width), min(max(1, round(high)), shown.height)
        left, top = _corner(view.place, wide - seen[0], high - seen[1])
        across, down = picture.width / wide, picture.height / high
        edges = left * across, top * down, (left + seen[0]) * across, (top + seen[1]) * down
        found = picture.resize(seen, self._filter, box=_within(edges, picture.size), reducing_gap=REDUCING_GAP)
        return np.asarray(self._filled(found), dtype=np.uint8).reshape(shown.height, shown.width, shown.channels)

    def _size(self, picture: Image.Image, view: View) -> tuple[float, float]:
        """Width and height of the whole picture, shown in this scale."""
        shown, (wide, high) = self.preprocessing, self.preprocessing.resized_size(picture)
        scale = float(view.scale)
        if view.place != "centre":
            scale *= max(1.0, CORNER_ROOM * shown.width / wide, CORNER_ROOM * shown.height / high)
        return wide * scale, high * scale

    @property
    def _filter(self) -> Image.Resampling:
        return Image.Resampling[self.preprocessing.interpolation.upper()]

    def _filled(self, found: Image.Image) -> Image.Image:
        shown = self.preprocessing
        size = shown.width, shown.height
        if found.size == size:
            return found
        colour = tuple(round(255 * value) for value in shown.mean)
        canvas = Image.new(found.mode, size, colour if shown.channels == 3 else colour[0])
        canvas.paste(found, ((size[0] - found.width) // 2, (size[1] - found.height) // 2))
        return canvas


def _corner(place: Place, spare_width: float, spare_height: float) -> tuple[float, float]:
    """Left and top of what is seen, where so much of the picture is left over."""
    if place == "centre":
        return spare_width / 2, spare_height / 2
    return (spare_width if "right" in place else 0.0), (spare_height if "bottom" in place else 0.0)


def _within(edges: Box, size: tuple[int, int]) -> Box:
    """Rounding must not lead out of the picture, nor leave nothing of it."""
    wide, high = map(float, size)
    left, top = min(max(0.0, edges[0]), wide - 1e-3), min(max(0.0, edges[1]), high - 1e-3)
    return left, top, max(left + 1e-3, min(edges[2], wide)), max(top + 1e-3, min(edges[3], high))
