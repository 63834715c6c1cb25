"""Tensors of the transformers library under timm's names: every one has its place, or the file is refused."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vitrail.basics.errors import InputError
from vitrail.models.described_network import described_network
from vitrail.models.description import Description
from vitrail.models.foreign_weights import ForeignWeights
from vitrail.models.transformers_format import NetworkConfig, TransformersModel

_UNUSED = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.mask_token")
"""What only the library's own pooling and masked pretraining use."""
_POSITIONS, _CLASS_TOKEN = "embeddings.position_embeddings", "embeddings.cls_token"
_QKV = tuple(f"attention.attention.{part}" for part in ("query", "key", "value"))
_LAYER = {"attn.qkv": _QKV, "attn.proj": ("attention.output.dense",)}
_VIT_LAYER = {
    **_LAYER, "norm1": ("layernorm_before",), "norm2": ("layernorm_after",),
    "mlp.fc1": ("intermediate.dense",), "mlp.fc2": ("output.dense",),
}  # fmt: skip
_DINO_LAYER = {**_LAYER, "norm1": ("norm1",), "norm2": ("norm2",), "mlp.fc1": ("mlp.fc1",), "mlp.fc2": ("mlp.fc2",)}
_SWIGLU = {"mlp.fc1": ("mlp.weights_in",), "mlp.fc2": ("mlp.weights_out",)}

Sources = dict[str, tuple[str, ...]]
"""timm's names, each with the file's tensors that are stacked to make it."""


def converted_weights(
    tensors: Mapping[str, Tensor], model: TransformersModel, *, grid: tuple[int, int] | None, source: str
) -> ForeignWeights:
    """The tensors of a file of the transformers library under timm's names.

    Args:
        tensors: as they stand in the file.
        model: what its `config.json` says.
        grid: (height, width) in patches of the network that they are for; None leaves the position table as it is.
            It is resampled as the library itself does, so that answers are equal at other sizes, too.
        source: name of the file.

    Raises:
        InputError: a tensor is missing, has no place, or is not of the shape that `config.json` tells of; all such
            names are given.

    Source: `modeling_vit.py`, `modeling_deit.py`, `modeling_dinov2.py` and `modeling_dinov2_with_registers.py` of
    transformers 5.23; names as `save_pretrained` writes them.
    """
    found = _without_base(tensors, model)
    places = _places(model)
    expected = {name for names in places.values() for name in names}
    _refuse(sorted(expected - found.keys()), "tensors are missing", model, source)
    dropped = {name for name in found if name in _UNUSED}
    if model.written_by.startswith("Dinov2"):
        dropped |= {name for name in found if name in ("classifier.weight", "classifier.bias")}
    _refuse(sorted(found.keys() - expected - dropped), "tensors have no place in the network", model, source)
    full = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in found.items()}
    made = {mine: _stacked([full[name] for name in theirs]) for mine, theirs in places.items()}
    _check_shapes(made, places, model, source)
    dropped_as_written = {name for name in tensors if name in dropped or name.partition(".")[2] in dropped}
    return _fitted(made, model, grid, tuple(sorted(dropped_as_written)))


def _without_base(tensors: Mapping[str, Tensor], model: TransformersModel) -> dict[str, Tensor]:
    """The tensors without the prefix that the library gives to a network below a classifier."""
    base = f"{model.config.model_type}."
    return {name.removeprefix(base): tensor for name, tensor in tensors.items()}


def _places(model: TransformersModel) -> Sources:
    config = model.config
    is_dino = config.model_type.startswith("dinov2")
    found: Sources = {
        "cls_token": (_CLASS_TOKEN,),
        "pos_embed": (_POSITIONS,),
        **_both("patch_embed.proj", ("embeddings.patch_embeddings.projection",)),
        **_both("norm", ("layernorm",)),
    }
    if config.model_type == "deit":
        token = "dist_token" if model.written_by.endswith("WithTeacher") else "reg_token"
        found[token] = ("embeddings.distillation_token",)
    if config.model_type == "dinov2_with_registers" and config.num_register_tokens:
        found["reg_token"] = ("embeddings.register_tokens",)
    layer = {**_DINO_LAYER, **(_SWIGLU if config.use_swiglu_ffn else {})} if is_dino else _VIT_LAYER
    for index in range(config.num_hidden_layers):
        mine, theirs = f"blocks.{index}", f"encoder.layer.{index}"
        for part, names in layer.items():
            with_bias = part != "attn.qkv" or config.qkv_bias
            found |= _both(f"{mine}.{part}", tuple(f"{theirs}.{name}" for name in names), bias=with_bias)
        if is_dino:
            found |= {f"{mine}.ls{each}.gamma": (f"{theirs}.layer_scale{each}.lambda1",) for each in (1, 2)}
    for theirs, mine in model.classifiers.items():
        found |= _both(mine, (theirs,))
    return found


def _both(mine: str, theirs: Iterable[str], *, bias: bool = True) -> Sources:
    kinds = ("weight", "bias") if bias else ("weight",)
    return {f"{mine}.{kind}": tuple(f"{name}.{kind}" for name in theirs) for kind in kinds}


def _stacked(parts: list[Tensor]) -> Tensor:
    """Queries, keys and values below each other, as timm computes them at once; parts of odd shapes stay a fault."""
    fits = len(parts) > 1 and all(part.shape == parts[0].shape for part in parts)
    return torch.cat(parts) if fits else parts[0]


def _check_shapes(made: Mapping[str, Tensor], places: Sources, model: TransformersModel, source: str) -> None:
    described = Description(
        model.architecture, {**model.model_args, "img_size": list(model.sides)}, model.pretrained_cfg, {}
    )
    network = described_network(described, model.pretrained_cfg["num_classes"], allocate=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if "no_embed_class" in model.model_args:  # here its position still has a row of its own
        _, patches, width = shapes["pos_embed"]
        shapes["pos_embed"] = (1, patches + 1, width)
    wrong = [
        f"{' + '.join(places[name])} ({_shown(made[name].shape)}, {_shown(shapes[name])} was expected)"
        for name in places
        if tuple(made[name].shape) != shapes[name]
    ]
    _refuse(wrong, "tensors are not of the shape", model, source)


def _fitted(
    made: dict[str, Tensor], model: TransformersModel, grid: tuple[int, int] | None, dropped: tuple[str, ...]
) -> ForeignWeights:
    """Tokens and positions as timm keeps them, resampled to the network's grid."""
    config = model.config
    has_registers = config.model_type == "dinov2_with_registers"
    tokens = 2 if config.model_type == "deit" else 1
    before = tuple(side // patch for side, patch in zip(model.sides, _patch(config), strict=True))
    table = made["pos_embed"]
    first, patches = table[:, :tokens], table[:, tokens:]
    is_resized = grid is not None and grid != before
    if grid is not None and is_resized:
        patches = _resampled(patches, before, grid, antialias=has_registers)
    if has_registers:  # timm adds positions to patches alone
        made = {**made, "cls_token": made["cls_token"] + first, "pos_embed": patches}
    else:
        made = {**made, "pos_embed": torch.cat([first, patches], dim=1) if is_resized else table}
    method = f"bicubic interpolation{', antialiased' if has_registers else ''}, as transformers does"
    return ForeignWeights(
        tensors=made,
        dropped=dropped,
        resized=("pos_embed",) if is_resized else (),
        position_resampling=method if is_resized else None,
    )


def _resampled(patches: Tensor, before: tuple[int, ...], grid: tuple[int, int], *, antialias: bool) -> Tensor:
    """Source: `interpolate_pos_encoding` of transformers 5.23; it smooths in DINOv2 with registers only."""
    width = patches.shape[-1]
    table = patches.reshape(1, *before, width).permute(0, 3, 1, 2)
    table = interpolate(table, size=grid, mode="bicubic", align_corners=False, antialias=antialias)
    return table.permute(0, 2, 3, 1).reshape(1, -1, width)


def _patch(config: NetworkConfig) -> tuple[int, int]:
    return (config.patch_size, config.patch_size) if isinstance(config.patch_size, int) else config.patch_size


def _shown(shape: Iterable[int]) -> str:
    return "×".join(str(side) for side in shape)


def _refuse(names: list[str], what: str, model: TransformersModel, source: str) -> None:
    if names:
        raise InputError(
            f"{source}: {what} of {model.written_by}: {_listed(names)}",
            hint="config.json and weights must come from the same save_pretrained; nothing is left out or guessed",
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
