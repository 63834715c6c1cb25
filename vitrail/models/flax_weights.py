"""Google's ViT weights: Flax `.npz` archives, brought to timm's names by timm's own loader."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.models.foreign_weights import ForeignWeights
from vitrail.models.plain_files import memory_bytes
from vitrail.models.weight_files import check_weights_file

_HEAD = "head/bias"
_KERNEL = "embedding/kernel"
_PREFIXES = ("", "opt/target/", "params/", "params/img/")


def read_flax_weights(
    path: Path, architecture: str, model_args: dict[str, Any], pretrained_cfg: dict[str, Any]
) -> ForeignWeights:
    """Read an `.npz` of `google-research/vision_transformer` or `big_vision` for a ViT or hybrid of timm.

    The archive is read into a plain ViT (learned positions, class count of the archive) of the wanted image size;
    that model's tensors are the result.

    Raises:
        InputError: the file is not such an archive, holds NaN or infinity, or belongs to another architecture.

    Source: `VisionTransformer.load_pretrained`, timm 1.0.31; it resamples bilinearly, without antialiasing.
    """
    shapes = _shapes(path)
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}{_KERNEL}" in shapes), None)
    if prefix is None:
        raise InputError(
            f"{path}: no ViT in this archive: {_KERNEL} is missing",
            hint="give an .npz written by google-research/vision_transformer or big_vision",
        )
    carrier = _carrier(shapes, prefix, architecture, model_args, pretrained_cfg)
    for tensor in carrier.state_dict().values():
        tensor.fill_(float("nan"))
    try:
        carrier.load_pretrained(str(path))
    except (RuntimeError, KeyError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: this archive does not fit {architecture}: {error}",
            hint="name the architecture it was trained with, e.g. --architecture vit_base_patch16_224",
        ) from error
    tensors = {name: tensor for name, tensor in carrier.state_dict().items() if not tensor.isnan().any()}
    resized = _resized(carrier, shapes, prefix)
    return ForeignWeights(
        tensors=tensors,
        dropped=tuple(sorted(name for name in shapes if "pre_logits" in name)),
        resized=resized,
        position_resampling="bilinear interpolation" if "pos_embed" in resized else None,
    )


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by name; every array is looked at once, so a damaged archive is found here."""
    shapes = {}
    check_weights_file(path)
    try:
        # The file is opened here because NumPy leaves a damaged one open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            _refuse_bomb(path, archive)
            for name in archive.files:
                array = archive[name]
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise InputError(
                        f"{path}: {name} holds NaN or infinity, finite weights were expected",
                        hint="download the archive again",
                    )
                shapes[name] = array.shape
    except InputError:
        raise
    except (
        OSError,
        ValueError,
        EOFError,
        AttributeError,
        TypeError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
    ) as error:
        raise InputError(
            f"{path}: not a readable .npz archive of arrays, nothing in it was run ({error})",
            hint="download it again",
        ) from error
    return shapes


def _refuse_bomb(path: Path, archive: Any) -> None:
    unpacked = sum(entry.file_size for entry in archive.zip.infolist())
    if unpacked > memory_bytes():
        raise InputError(
            f"{path}: unpacked it has {unpacked:,} bytes, more than the memory of this machine",
            hint="weights must fit into the memory of this machine",
        )


def _carrier(
    shapes: dict[str, tuple[int, ...]],
    prefix: str,
    architecture: str,
    model_args: dict[str, Any],
    pretrained_cfg: dict[str, Any],
) -> Any:
    has_attention_pool = any("MAPHead_0/" in name for name in shapes)
    args = {name: value for name, value in model_args.items() if name not in ("pos_embed", "fc_norm", "num_classes")}
    if has_attention_pool or args.get("global_pool") == "map":
        args["global_pool"] = "map" if has_attention_pool else "token"
    classes = shapes[f"{prefix}{_HEAD}"][-1] if f"{prefix}{_HEAD}" in shapes else 0
    try:
        return timm.create_model(
            architecture, pretrained_cfg=pretrained_cfg, num_classes=classes, fc_norm=False, **args
        )
    except TypeError as error:
        raise InputError(
            f"{architecture} does not read Google's .npz archives, only plain ViTs and their hybrids do",
            hint="name a ViT, e.g. --architecture vit_base_patch16_224",
        ) from error


def _resized(carrier: nn.Module, shapes: dict[str, tuple[int, ...]], prefix: str) -> tuple[str, ...]:
    table = next((shape for name, shape in shapes.items() if name.endswith("pos_embedding")), None)
    mine = carrier.get_parameter("pos_embed").shape
    patch = carrier.get_parameter("patch_embed.proj.weight").shape[-2:]
    kernel = shapes[f"{prefix}{_KERNEL}"][:2]
    changed = {
        "pos_embed": table is not None and table[-2] != mine[-2],
        "patch_embed.proj.weight": torch.Size(kernel) != patch,
    }
    return tuple(name for name, is_changed in changed.items() if is_changed)
