"""The corruptions by name, their published severities, and one function that applies them to a picture of 8 bits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.seeds import derived_seed
from vitrail.data.corruptions import blur, digital, noise, weather

SEVERITIES = (1, 2, 3, 4, 5)

_ELASTIC = [(2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)]
_SNOW = [
    ((0.1, 0.3, 3, 0.5), (10, 4), 0.8), ((0.2, 0.3, 2, 0.5), (12, 4), 0.7), ((0.55, 0.3, 4, 0.9), (12, 8), 0.7),
    ((0.55, 0.3, 4.5, 0.85), (12, 8), 0.65), ((0.55, 0.3, 2.5, 0.85), (12, 12), 0.55),
]  # fmt: skip


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        kind: `noise`, `blur`, `weather` or `digital`.
        apply: from a picture on the scale 0-1, a source of draws and a severity's values to the corrupted one.
        values: what `apply` is given, for severity 1 to 5.
        needs_colour: whether it does nothing to grey pictures.
    """

    kind: str
    apply: Callable[..., np.ndarray]
    values: Sequence[tuple[Any, ...]]
    needs_colour: bool = False


def _one(*values: float | int) -> list[tuple[float | int, ...]]:
    return [(value,) for value in values]


CORRUPTIONS = {
    "gaussian_noise": Corruption("noise", noise.gaussian_noise, _one(0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": Corruption("noise", noise.shot_noise, _one(60, 25, 12, 5, 3)),
    "impulse_noise": Corruption("noise", noise.impulse_noise, _one(0.03, 0.06, 0.09, 0.17, 0.27)),
    "speckle_noise": Corruption("noise", noise.speckle_noise, _one(0.15, 0.2, 0.35, 0.45, 0.6)),
    "gaussian_blur": Corruption("blur", blur.gaussian_blur, _one(1, 2, 3, 4, 6)),
    "defocus_blur": Corruption("blur", blur.defocus_blur, [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)]),
    "motion_blur": Corruption("blur", blur.motion_blur, [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)]),
    "zoom_blur": Corruption(
        "blur", blur.zoom_blur, [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)]
    ),
    "snow": Corruption("weather", weather.snow, _SNOW),
    "fog": Corruption("weather", weather.fog, [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)]),
    "brightness": Corruption("weather", weather.brightness, _one(0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption("weather", weather.contrast, _one(0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturate": Corruption(
        "weather", weather.saturate, [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)], needs_colour=True
    ),
    "elastic_transform": Corruption("digital", digital.elastic, [tuple(244 * v for v in row) for row in _ELASTIC]),
    "pixelate": Corruption("digital", digital.pixelate, _one(0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Corruption("digital", digital.jpeg, _one(25, 18, 15, 10, 7)),
}
"""By their names in ImageNet-C.

Severities are those of D. Hendrycks and T. Dietterich (2019), arXiv:1903.12261. They were chosen for pictures of 224
pixels: lengths (radius and sigma of blur, the smear of snow, the field of the elastic transform) are scaled with the
shorter side, so that a severity looks alike in every size; at 224 they are the published ones. Left out are frost,
which needs photographs of ice, glass blur, whose published code swaps pixels in a way that depends on the order of its
loops, and spatter."""


def known_corruptions(names: Sequence[str]) -> list[str]:
    """The names, each once, in the order of `CORRUPTIONS`.

    Raises:
        InputError: one of them is no corruption.
    """
    for name in names:
        if name not in CORRUPTIONS:
            hint = did_you_mean(name, CORRUPTIONS) or f"known: {', '.join(CORRUPTIONS)}"
            raise InputError(f"there is no corruption {name!r}", hint=hint)
    return [name for name in CORRUPTIONS if name in names]


def corrupted(
    pixels: UInt8[np.ndarray, "H W C"], corruption: str, severity: int, *, seed: int
) -> UInt8[np.ndarray, "H W C"]:
    """A picture as the corruption leaves it; the given one stays as it is.

    The same picture, severity and seed give the same bytes in every process and batch; another severity of the same
    seed is made from the same draws.

    Args:
        pixels: grey (C = 1) or colour (C = 3), of any size.
        corruption: one of `CORRUPTIONS`.
        severity: 1 to 5; 0 is the picture itself.
        seed: of the draws; one per picture, see `picture_seed`.

    Raises:
        InputError: there is no such corruption or severity.

    >>> corrupted(np.zeros((8, 8, 3), np.uint8), "brightness", 1, seed=0)[0, 0]
    array([26, 26, 26], dtype=uint8)
    """
    known_corruptions([corruption])
    if severity not in (0, *SEVERITIES):
        raise InputError(f"the severity {severity!r} was asked for", hint="1 to 5; 0 is the picture itself")
    found = CORRUPTIONS[corruption]
    if severity == 0 or (found.needs_colour and pixels.shape[2] == 1):
        return pixels.copy()
    dice = np.random.Generator(np.random.PCG64(seed))
    result = found.apply(pixels.astype(np.float32) / 255, dice, *found.values[severity - 1])
    return np.rint(np.clip(result, 0, 1) * 255).astype(np.uint8)


def picture_seed(seed: int, identity: str, corruption: str) -> int:
    """The seed of one picture's draws: it depends on the picture, never on its place in a batch."""
    return derived_seed(seed, "corruption", corruption, identity)
