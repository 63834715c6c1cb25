"""What a model's intermediate tensors are made of: which tokens are not patches, and where a map keeps its channels."""

import math
from dataclasses import dataclass
from typing import Any

from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer

from vitrail.models.network import patch_pixels

_PREFIX_BY_CONFIG = {
    "vit": 1, "beit": 1, "data2vec-vision": 1, "clip_vision_model": 1, "dinov2": 1, "dinov2_with_registers": 1,
    "dinov3_vit": 1, "deit": 2, "siglip_vision_model": 0, "ijepa": 0, "swin": 0, "swinv2": 0, "pvt_v2": 0,
}  # fmt: skip
"""Class and distillation tokens by Hugging Face's `model_type` (transformers 5.23); registers are added to these."""


@dataclass(frozen=True)
class TokenLayout:
    """How one model arranges tokens and maps."""

    model: str
    """Its class, for messages."""
    prefix_tokens: int | None
    """Class, distillation and register tokens before the patches; None when nobody says."""
    has_class_token: bool
    patch: tuple[int, int] | None
    """(height, width) of a patch in pixels, where one size holds for all layers."""
    channels_last: bool
    """Whether maps are (B, H, W, C)."""
    pads: bool = False
    """Whether an image is filled up to whole patches; otherwise its edge is left out."""

    def patch_grid(self, image: tuple[int, int] | None) -> tuple[int, int] | None:
        """(rows, columns) of patches of an image of (height, width) pixels."""
        if image is None or self.patch is None:
            return None
        whole = math.ceil if self.pads else math.floor
        return whole(image[0] / self.patch[0]), whole(image[1] / self.patch[1])


def token_layout(model: nn.Module, node: str) -> TokenLayout:
    """The layout that holds at a node: of the outermost module around it that says something about its tokens.

    Known are whole models of timm (its blocks alone do not say what they are given), ViT and Swin of torchvision,
    Hugging Face's by their configuration, and every module with an attribute `num_prefix_tokens` (and `cls_token` where
    the first of these is a class token).

    Args:
        model: the whole model.
        node: full name of a module or operation in it.
    """
    module: nn.Module = model
    for part in node.split("."):
        found = _stated(module)
        if found is not None:
            return found
        child = getattr(module, part, None)
        if not isinstance(child, nn.Module):
            break
        module = child
    return TokenLayout(type(model).__name__, None, False, None, False)


def _stated(module: Any) -> TokenLayout | None:
    name, origin = type(module).__name__, type(module).__module__
    if isinstance(module, VisionTransformer):
        return TokenLayout(name, 1, True, (module.patch_size, module.patch_size), False)
    if isinstance(module, SwinTransformer):
        return TokenLayout(name, 0, False, None, True)
    kind = getattr(getattr(module, "config", None), "model_type", None)
    if kind in _PREFIX_BY_CONFIG:
        return _by_config(name, module.config, _PREFIX_BY_CONFIG[kind])
    prefix = getattr(module, "num_prefix_tokens", None)
    if isinstance(prefix, int) or (origin.startswith("timm.models.") and hasattr(module, "forward_features")):
        own = [parameter for parameter, _ in module.named_parameters(recurse=False)]
        if prefix is None and not any("cls_token" in parameter for parameter in own):
            prefix = 0
        has_class_token = bool(prefix) and getattr(module, "cls_token", None) is not None
        channels_last = str(getattr(module, "output_fmt", "NCHW")) == "NHWC"
        patch = patch_pixels(module) if prefix else None
        pads = bool(getattr(getattr(module, "patch_embed", None), "dynamic_img_pad", False))
        return TokenLayout(name, prefix, has_class_token, patch, channels_last, pads)
    return None


def _by_config(name: str, config: Any, prefix: int) -> TokenLayout:
    side = config.patch_size if prefix else None
    patch = (side, side) if isinstance(side, int) else side
    registers = getattr(config, "num_register_tokens", 0) if prefix else 0
    return TokenLayout(name, prefix + registers, prefix > 0, None if patch is None else tuple(patch), False)
