"""From pixels to what a model takes."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.inputs import Inputs, Pixels


class Normalise:
    """Pixels 0-255 in (B, H, W, C) to the model's input (B, C, H, W), in the order of operations timm uses."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self.device = device
        self.mean = torch.tensor(preprocessing.mean, dtype=torch.float32, device=device).view(-1, 1, 1)
        self.std = torch.tensor(preprocessing.std, dtype=torch.float32, device=device).view(-1, 1, 1)

    def __call__(self, pixels: Pixels) -> Float[Tensor, "B C H W"]:
        """The model's input, on the device."""
        values = pixels.values
        if isinstance(values, np.ndarray):  # one that may not be written to (a decoded picture's) would make torch warn
            values = torch.from_numpy(np.require(values, requirements=("C", "W")))
        moved = values.to(self.device).permute(0, 3, 1, 2).contiguous()
        return moved.float().div_(255).sub_(self.mean).div_(self.std)

    def unit(self, pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The same of pixels on the scale 0-1, on the device; gradients are kept."""
        return pixels.contiguous().sub(self.mean).div(self.std)

    def inputs(self, given: Inputs) -> Float[Tensor, " B *state"]:
        """What the model's chain is run on, on the device: normalised pixels, or states as they are."""
        return self(given) if isinstance(given, Pixels) else given.values.to(self.device).float()
