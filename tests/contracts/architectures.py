"""Small models with random weights, one of every family whose inside people look at, and nodes to take from each."""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass

import timm
import torch
import torchvision
from torch import nn


@dataclass(frozen=True)
class Architecture:
    build: Callable[[], nn.Module]
    nodes: tuple[str, ...]
    """Sampled modules in running order; something of the model comes after the last one."""
    side: int = 64
    own: tuple[str, ...] = ()
    """Those of the nodes that the model's layer groups give."""
    can_be_traced: bool = True


class Deciding(nn.Module):
    """A home-made model whose way depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.bright = nn.Conv2d(4, 4, 1)
        self.dark = nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.bright(x) if x.mean() > 0 else self.dark(x)
        return self.head(x.mean(dim=(2, 3)))


class InPlace(nn.Module):
    """Layers that change what the layer before them gave."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.norm1 = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 4, 3)
        self.norm2 = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm1(self.conv1(x)))
        x = self.norm2(self.conv2(x))
        x += 1.0
        x = self.act(x)
        return self.head(x.mean(dim=(2, 3)))


def hugging_face_vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    return ViTForImageClassification(ViTConfig(**sizes, image_size=64, patch_size=16, num_labels=3))


def timm_model(name: str, **arguments) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=3, **arguments)


def torchvision_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(64, 16, 3, 2, 32, 64, num_classes=3)


_BLOCKS = ("blocks.0", "blocks.1")
_SMALL = {"img_size": 64, "depth": 3}
ARCHITECTURES = {
    "torchvision resnet": Architecture(
        lambda: torchvision.models.resnet18(num_classes=3),
        ("conv1", "bn1", "layer1.0.bn1", "layer1", "layer2.0.relu", "layer2.0.relu_1", "layer4.1.conv1"),
    ),
    "timm resnet": Architecture(
        timm_model("resnet18"), ("maxpool", "layer1.0.bn2", "layer1", "layer3.0"), own=("maxpool", "layer1", "layer3.0")
    ),
    "convnext": Architecture(
        timm_model("convnext_atto", depths=(1, 2, 1, 1)),
        ("stem", "stages.1.blocks.0.conv_dw", "stages.1.blocks.0", "stages.1", "stages.2"),
        own=("stem", "stages.1.blocks.0", "stages.1", "stages.2"),
    ),
    "vit": Architecture(
        timm_model("vit_tiny_patch16_224", **_SMALL),
        ("patch_embed", "norm_pre", "blocks.0.attn", "blocks.0", "blocks.1.mlp.act", "blocks.1", "norm"),
        own=("norm_pre", *_BLOCKS, "norm"),
    ),
    "vit with registers": Architecture(
        timm_model("vit_tiny_patch16_224", reg_tokens=2, init_values=0.1, **_SMALL),
        ("blocks.0.norm1", *_BLOCKS),
        own=_BLOCKS,
    ),
    "deit distilled": Architecture(
        timm_model("deit_tiny_distilled_patch16_224", **_SMALL), ("blocks.0.mlp", *_BLOCKS, "norm"), own=_BLOCKS
    ),
    "swin": Architecture(
        timm_model("swin_tiny_patch4_window7_224", img_size=64, depths=(1, 2, 1, 1)),
        ("patch_embed", "layers.0", "layers.1.downsample", "layers.1.blocks.0", "layers.1.blocks.1.attn", "layers.2"),
        own=("patch_embed", "layers.0", "layers.1.blocks.0", "layers.2"),
    ),
    "pvt v2": Architecture(
        timm_model("pvt_v2_b0"),
        ("patch_embed", "stages.0", "stages.1.blocks.0.attn", "stages.1"),
        own=("stages.0", "stages.1"),
    ),
    "hybrid": Architecture(timm_model("vit_tiny_r_s16_p8_224", **_SMALL), ("patch_embed", *_BLOCKS), own=_BLOCKS),
    "dinov3": Architecture(
        timm_model("vit_small_patch16_dinov3", **_SMALL), ("blocks.0.attn.qkv", *_BLOCKS), can_be_traced=True
    ),
    "clip image tower": Architecture(
        timm_model("vit_base_patch32_clip_224", embed_dim=48, num_heads=3, **_SMALL),
        ("norm_pre", *_BLOCKS, "norm"),
        own=("norm_pre", *_BLOCKS),
    ),
    "torchvision vit": Architecture(
        torchvision_vit,
        (
            "conv_proj",
            "encoder.layers.encoder_layer_0.ln_1",
            "encoder.layers.encoder_layer_0.ln_2",
            "encoder.layers.encoder_layer_1",
            "encoder",
        ),
    ),
    "hugging face vit": Architecture(
        hugging_face_vit, ("vit.embeddings", "vit.layers.0", "vit.layers.1", "vit.layernorm"), can_be_traced=False
    ),
    "deciding": Architecture(Deciding, ("stem",), can_be_traced=False),
    "in place": Architecture(InPlace, ("conv1", "norm1", "act", "norm2", "act_1")),
}


def built(name: str) -> nn.Module:
    return copy.deepcopy(_built(name))


@functools.cache
def _built(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = ARCHITECTURES[name].build()
    for parameter in model.parameters():  # zero-initialised parts would hide what is left out
        nn.init.normal_(parameter, std=0.05)
    return model.eval()


def images(name: str, *, count: int = 2, seed: int = 1) -> torch.Tensor:
    side = ARCHITECTURES[name].side
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
