"""A plain ViT of any width and depth with random weights: what pretraining begins with."""

import math
from typing import Any, Literal

import timm
import torch
from pydantic import Field

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.mimetic import mimetic_initialisation
from vitrail.models.rates import Rate
from vitrail.models.ready import ReadyModel
from vitrail.models.weights import WeightReport

ARCHITECTURE = "vit_tiny_patch16_224"
"""The timm entry whose arguments are overridden."""


class PlainVitSettings(Settings):
    """The shape of the network; all else is timm's plain ViT."""

    width: int = Field(default=192, ge=8)
    """Values per token; a multiple of `heads`."""
    depth: int = Field(default=6, ge=1)
    """Blocks."""
    heads: int = Field(default=3, ge=1)
    """Attention heads of a block."""
    patch: int = Field(default=8, ge=1)
    """Side of a patch in pixels; it must divide every image size."""
    pooling: Literal["avg", "token"] = "avg"
    """What the classifier stands on: the mean of the patches, or the class token. The token is there in either case."""
    initialisation: Literal["mimetic", "timm"] = "mimetic"
    """How weights are drawn: like those of a trained network where that is known (see `models/mimetic.py`), or as timm
    draws them."""
    drop_path: Rate = 0.0
    """Probability that the deepest block is skipped in training (stochastic depth, rising linearly with depth); 0 or
    none: off."""
    drop_patches: Rate = 0.0
    """Share of an image's patches that a training step leaves out, others in every step: it takes so much less time
    (Y. Liu et al. 2022, arXiv:2208.07220)."""


def plain_vit(settings: PlainVitSettings, *, sizes: tuple[int, ...], classes: int, seed: int) -> ReadyModel:
    """A ViT for colour images with random weights.

    Args:
        settings: its shape.
        sizes: sides in pixels of the square images that it will see; its position table is of the last one's size, and
            resampled in every pass for the others.
        classes: width of the classifier.
        seed: of the weights; torch's own generator is left as it was.

    Raises:
        InputError: the patch does not divide a size, or the heads do not divide the width.
    """
    _check(settings, sizes)
    args: dict[str, Any] = {
        "img_size": [sizes[-1], sizes[-1]],
        "patch_size": settings.patch,
        "embed_dim": settings.width,
        "depth": settings.depth,
        "num_heads": settings.heads,
        "global_pool": settings.pooling,
        "num_classes": classes,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        several = len(set(sizes)) > 1
        model = timm.create_model(
            ARCHITECTURE, **args, drop_path_rate=settings.drop_path, patch_drop_rate=settings.drop_patches,
            dynamic_img_size=several,
        )  # fmt: skip
        if settings.initialisation == "mimetic":
            mimetic_initialisation(model)
    return ReadyModel(
        model=model.eval(),
        architecture=ARCHITECTURE,
        model_args=args,
        pretrained_cfg={"first_conv": "patch_embed.proj", "classifier": "head", "fixed_input_size": True},
        weights=WeightReport("random initialisation", used=0, initialised=tuple(model.state_dict())),
        weights_sha256="",
        preprocessing=Preprocessing(height=sizes[-1], width=sizes[-1], crop_fraction=1.0),
    )


def _check(settings: PlainVitSettings, sizes: tuple[int, ...]) -> None:
    undivided = [size for size in sizes if size % settings.patch]
    if undivided:
        lower = max(settings.patch, undivided[0] // settings.patch * settings.patch)
        raise InputError(
            f"images of {undivided[0]} pixels cannot be cut into patches of {settings.patch}",
            hint=f"choose a multiple, e.g. --set sizes={lower}, or another --set patch",
        )
    waves = 4 if settings.initialisation == "mimetic" else 1
    step = math.lcm(settings.heads, waves)
    hint = f"choose a multiple of {step}, e.g. --set width={-(-settings.width // step) * step}"
    if settings.width % settings.heads:
        raise InputError(f"a width of {settings.width} cannot be divided among {settings.heads} heads", hint=hint)
    if settings.width % waves:
        raise InputError(
            f"a width of {settings.width} has no sine waves along two axes, which take a multiple of {waves}",
            hint=f"{hint}, or --set initialisation=timm",
        )
