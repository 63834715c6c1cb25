"""What the first layer of a ViT looks for in a patch: the principal components of its filters."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError

COMPONENTS = 28
"""As many as the paper's figure shows."""


@dataclass(frozen=True)
class FilterComponents:
    """Principal components of the filters of a patch embedding.

    Attributes:
        components: each of length 1, most important first, (M, C, height, width); their sign is arbitrary, and such
            that the largest entry is positive.
        explained: the share of the filters' variance that each explains, in [0, 1].
        filters: how many filters there are.
    """

    components: Float[Tensor, "M C h w"]
    explained: Float[Tensor, "M"]
    filters: int


def filter_components(model: nn.Module, *, most: int = COMPONENTS) -> FilterComponents:
    """The first principal components of the D filters that make tokens of patches.

    Args:
        model: a ViT: the first convolution whose stride is its kernel, which cuts the image into patches.
        most: how many components.

    Raises:
        InputError: its tokens do not come from patches in one step.

    Source: section 4.5 and figure 7 (left) of "An Image is Worth 16x16 Words" (arXiv:2010.11929).
    """
    weight = _patch_projection(model).weight.detach().double().cpu()
    if weight.ndim == 2:  # a linear layer on flattened patches, as in NaFlexVit: (height, width, channel)
        side = round((weight.shape[1] / 3) ** 0.5)
        weight = weight.unflatten(1, (side, side, 3)).permute(0, 3, 1, 2)
    flat = weight.flatten(1) - weight.flatten(1).mean(dim=0)
    _, strength, components = torch.linalg.svd(flat, full_matrices=False)
    components = components[:most]
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    variance = strength.square()
    return FilterComponents(
        (components * largest.sign()).unflatten(1, weight.shape[1:]).float(),
        (variance / variance.sum().clamp(min=torch.finfo(torch.float64).tiny))[:most].float(),
        len(weight),
    )


def _patch_projection(model: nn.Module) -> Any:
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            whole = module.kernel_size == module.stride and min(module.kernel_size) > 1 and module.groups == 1
            if whole:
                return module
            break
        if isinstance(module, nn.Linear):
            if name.endswith("embeds.proj"):
                return module
            break
    raise InputError(
        f"the tokens of {type(model).__name__} do not come from patches in one step, so it has no patch filters",
        hint="a ViT cuts the image by one convolution whose stride is its kernel",
    )
