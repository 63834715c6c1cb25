"""Random views of formula images, for whole batches at once and on the device that trains."""

import math
from typing import Any

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor, nn

from vitrail.basics.settings import Settings


class FormulaViewSettings(Settings):
    """How far a view may differ from its formula image; what is 0, 1 or off is not done.

    Sources: crops of at least a fifth of the area, mirroring in both directions and changes of brightness and contrast
    by up to 0.4 are, with larger crops, what 1p-frac (Nakamura et al. 2024, arXiv:2408.00677) trains on.
    """

    smallest_crop: float = Field(default=0.2, gt=0, le=1)
    """Least share of the image's area that a random crop keeps; 1.0: none but the whole image."""
    aspect_jitter: float = Field(default=4 / 3, ge=1, le=4)
    """Largest factor by which a random crop is wider or narrower than a square."""
    mirror: bool = True
    """Mirror left and right in half of the views, and top and bottom in half of them."""
    rotation_degrees: float = Field(default=0.0, ge=0, le=180)
    """Largest turn in either direction; what it opens is filled with the image mirrored at its edge."""
    brightness: float = Field(default=0.4, ge=0, lt=1)
    """Largest relative change of brightness."""
    contrast: float = Field(default=0.4, ge=0, lt=1)
    """Largest relative change of contrast, around the view's mean grey."""
    mixup: float = Field(default=0.0, ge=0)
    """Images are laid over one another in pairs, the share of one drawn from a Beta distribution with this parameter
    (Zhang et al. 2018, arXiv:1710.09412); 0: never."""


def formula_views(
    pixels: UInt8[Tensor, "B S S C"], settings: FormulaViewSettings, *, size: int, seed: int
) -> Float[Tensor, "B C size size"]:
    """One random view of every image: cropped, mirrored, turned, resized (bilinear) and relit; mixing is not done here.

    Args:
        pixels: square images, on any device; the views are made there.
        settings: how far a view may differ from its image.
        size: side of a view in pixels.
        seed: of all that is drawn. The draws are made on the processor, and are the same for every device.

    Returns:
        Views on the scale from 0 to 1.
    """
    draws = torch.rand((len(pixels), 9), generator=torch.Generator().manual_seed(seed)).to(pixels.device).unbind(1)
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    grid = _sampling_grid(_crops(draws[:4], settings), draws[4:7], settings, size)
    padding = "reflection" if settings.rotation_degrees else "border"
    views = nn.functional.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return _relit(views, draws[7], draws[8], settings)


Crops = tuple[Tensor, Tensor, Tensor, Tensor]
"""Half width, half height and centre (x, y) of a crop, where an image goes from -1 to 1."""


def _crops(draws: tuple[Tensor, ...], settings: FormulaViewSettings) -> Crops:
    """Area uniform, aspect ratio uniform on a logarithmic scale, place uniform, as in torchvision's
    `RandomResizedCrop`; but a crop that is longer than the image is cut to it, not drawn again."""
    area = settings.smallest_crop + (1 - settings.smallest_crop) * draws[0]
    aspect = torch.exp((2 * draws[1] - 1) * math.log(settings.aspect_jitter))
    wide, high = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    if settings.smallest_crop == 1:
        wide, high = torch.ones_like(wide), torch.ones_like(high)
    return wide, high, (2 * draws[2] - 1) * (1 - wide), (2 * draws[3] - 1) * (1 - high)


def _sampling_grid(
    crops: Crops, draws: tuple[Tensor, ...], settings: FormulaViewSettings, size: int
) -> Float[Tensor, "B size size 2"]:
    """For every pixel of every view, the point of its image (x, y) that it shows."""
    wide, high, middle_x, middle_y = (value[:, None, None] for value in crops)
    left, top, turn = (value[:, None, None] for value in draws)
    if settings.mirror:
        wide, high = torch.where(left < 0.5, -wide, wide), torch.where(top < 0.5, -high, high)
    steps = (torch.arange(size, device=wide.device) + 0.5) * (2 / size) - 1
    x, y = wide * steps[None, None, :], high * steps[None, :, None]
    angle = (2 * turn - 1) * math.radians(settings.rotation_degrees)
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack((middle_x + cosine * x - sine * y, middle_y + sine * x + cosine * y), dim=-1)


def _relit(views: Tensor, brightness: Tensor, contrast: Tensor, settings: FormulaViewSettings) -> Tensor:
    brighter: Any = (1 + settings.brightness * (2 * brightness - 1))[:, None, None, None]
    stronger: Any = (1 + settings.contrast * (2 * contrast - 1))[:, None, None, None]
    views = views * brighter
    grey = views.mean(dim=(1, 2, 3), keepdim=True)
    return ((views - grey) * stronger + grey).clamp_(0, 1)
