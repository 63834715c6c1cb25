"""A small ViT with random weights, for images of a few pixels: what the demo trains from nothing."""

from typing import Any

import timm
import torch

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.catalogue import BuiltModel
from vitrail.models.weights import WeightReport

ARCHITECTURE = "vit_tiny_patch16_224"


def small_vit(*, image_pixels: int, patch_pixels: int, num_classes: int, seed: int, channels: int = 3) -> BuiltModel:
    """A ViT of 2 blocks, width 64, averaging its tokens: about 100,000 parameters.

    Args:
        image_pixels: side of the square input; a multiple of `patch_pixels`.
        patch_pixels: side of a patch.
        num_classes: width of the classifier.
        seed: of the initial weights; torch's global generator is left as it was.
        channels: 3 for colour, 1 for grey.
    """
    args: dict[str, Any] = {
        "img_size": [image_pixels, image_pixels],
        "patch_size": patch_pixels,
        "embed_dim": 64,
        "depth": 2,
        "num_heads": 4,
        "global_pool": "avg",
        "in_chans": channels,
        "num_classes": num_classes,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = timm.create_model(ARCHITECTURE, **args, weight_init="jax")
        # So few patches never pull a table of standard deviation 0.02 apart in a minute of training.
        torch.nn.init.normal_(model.pos_embed, std=0.5)
    preprocessing = Preprocessing(
        height=image_pixels, width=image_pixels, crop_fraction=1.0, channels=3 if channels == 3 else 1,
        mean=(0.5,) * channels, std=(0.5,) * channels,
    )  # fmt: skip
    return BuiltModel(
        model=model,
        architecture=ARCHITECTURE,
        model_args=args,
        pretrained_cfg={"first_conv": "patch_embed.proj", "classifier": "head", "fixed_input_size": True},
        weights=WeightReport("random initialisation", used=0, initialised=tuple(model.state_dict())),
        weights_sha256="",
        preprocessing=preprocessing,
    )
