"""From pixels to what a model takes."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vitrail.data.preprocessing import Preprocessing


class Normalise:
    """Pixels 0-255 in (B, H, W, C) to the model's input (B, C, H, W), in the order of operations timm uses."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self.device = device
        self.mean = torch.tensor(preprocessing.mean, dtype=torch.float32, device=device).view(-1, 1, 1)
        self.std = torch.tensor(preprocessing.std, dtype=torch.float32, device=device).view(-1, 1, 1)

    def __call__(self, pixels: UInt8[np.ndarray, "B H W C"]) -> Float[Tensor, "B C H W"]:
        """The model's input, on the device."""
        return self.tensor(torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device))

    def tensor(self, pixels: UInt8[Tensor, "B H W C"]) -> Float[Tensor, "B C H W"]:
        """The same for pixels that are on the device already."""
        return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(self.mean).div_(self.std)
