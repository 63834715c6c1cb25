"""Small timm folders with random weights, made the way timm itself writes them."""

import json
from pathlib import Path

import safetensors.torch
import timm
import torch
from torch import nn

SMALL = {"img_size": 48, "depth": 2}
ARCHITECTURES: dict[str, tuple[str, dict]] = {
    "vit": ("vit_tiny_patch16_224", SMALL),
    "distilled deit": ("deit_tiny_distilled_patch16_224", SMALL),
    "hybrid": ("vit_tiny_r_s16_p8_224", {"img_size": 64, "depth": 2}),
    "relative vit": ("vit_relpos_small_patch16_224", SMALL),
    "swin": ("swin_tiny_patch4_window7_224", {"img_size": 64, "depths": (1, 1, 2, 1)}),
    "pvt v2": ("pvt_v2_b0", {}),
    "convnext": ("convnext_atto", {}),
    "resnet": ("resnet18", {}),
    "efficientnet": ("test_efficientnet", {}),
}


def random_model(architecture: str, *, seed: int = 0, classes: int = 7, **arguments) -> nn.Module:
    """A timm model whose every tensor is random, statistics of batch norms too."""
    torch.manual_seed(seed)
    model = timm.create_model(architecture, num_classes=classes, **arguments)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) * 0.05)
        else:
            tensor.fill_(11)
    return model.eval()


def timm_folder(folder: Path, model: nn.Module, **arguments) -> Path:
    timm.models.save_for_hf(
        model, str(folder), model_args={**arguments, "num_classes": model.num_classes}, safe_serialization=True
    )
    return folder


def edit_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def same_state(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def weights_file(path: Path, model: nn.Module) -> Path:
    safetensors.torch.save_file(model.state_dict(), path)
    return path
