"""From a model's source and the settings to a network of the right shape, still without its weights."""

import math
from dataclasses import dataclass, replace
from typing import Any

import timm
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.models.described_network import set_norm_epsilon
from vitrail.models.model_settings import ModelSettings
from vitrail.models.position_embedding import RELATIVE_ARCHITECTURE, has_position_table, relative_model_args
from vitrail.models.sources import ModelSource

_BUILD_FAULTS = (TypeError, AssertionError, RuntimeError, ValueError, KeyError, ZeroDivisionError)

_DROPOUTS = {"proj_drop_rate": "dropout", "attn_drop_rate": "attention_dropout"}
"""Settings by timm's arguments."""
_TRAINING_ONLY = {"drop_path_rate", "pos_drop_rate", *_DROPOUTS}
"""What a description may say of how its weights were trained; a training here goes by its own settings."""


@dataclass(frozen=True)
class Network:
    """A network with random weights, and what is needed to build it again."""

    model: nn.Module
    architecture: str
    model_args: dict[str, Any]
    """`timm.create_model(architecture, **model_args)` builds the same modules."""
    plain_args: dict[str, Any]
    """The same for the source's own architecture, before relative positions replaced it."""
    image_size: tuple[int, int]
    """(height, width) of the images it takes, in pixels."""


def build_network(
    source: ModelSource, settings: ModelSettings, *, num_classes: int | None, has_pooled_norm: bool
) -> Network:
    """Build the network that `settings` describe.

    Args:
        source: architecture, arguments and description of the weights.
        settings: what to change about it.
        num_classes: width of the classifier; None keeps the weights' own.
        has_pooled_norm: whether the weights hold a norm behind the pooling (`fc_norm`).

    Raises:
        InputError: the architecture cannot take the image size, position embedding, pooling or drop path.
    """
    _refuse_large_patch(source, settings)
    own = {name: value for name, value in source.model_args.items() if name not in _TRAINING_ONLY}
    args = {**own, **_changes(source, settings, num_classes, has_pooled_norm)}
    model = _created(source, args, settings)
    _check_patch(model, source.architecture, settings)
    model, args = _fitted_to_patches(model, args, source, settings)
    _check_position(model, source.architecture, settings)
    size = _size(source, settings)
    if settings.position != "relative":
        return Network(model, source.architecture, args, args, size)
    if getattr(model, "dynamic_img_size", False):
        raise InputError(
            "relative positions need an image size that the patch divides; padding was asked for",
            hint="choose another --image-size and leave pad out, or another --position",
        )
    relative = {
        **relative_model_args(model),
        "num_classes": args["num_classes"],
        "in_chans": source.pretrained_cfg["input_size"][0],
    }
    model = _created(replace(source, architecture=RELATIVE_ARCHITECTURE), relative, settings)
    return Network(model, RELATIVE_ARCHITECTURE, relative, args, size)


def _changes(
    source: ModelSource, settings: ModelSettings, num_classes: int | None, has_pooled_norm: bool
) -> dict[str, Any]:
    """Arguments beyond the source's own."""
    described = source.pretrained_cfg
    known = source.model_args.get("num_classes", described["num_classes"])
    changes: dict[str, Any] = {"num_classes": known if num_classes is None else num_classes}
    takes_size = described["fixed_input_size"] or "img_size" in source.model_args
    if takes_size and (settings.size or "img_size" not in source.model_args):
        changes["img_size"] = list(settings.size or described["input_size"][1:])
    if settings.patch_size:
        changes["patch_size"] = settings.patch_size
    if settings.pad and takes_size:
        changes |= {"dynamic_img_size": True, "dynamic_img_pad": True}
    if settings.position in ("none", "1d"):
        changes["pos_embed"] = "none" if settings.position == "none" else "learn"
    if settings.pooling != "weights":
        changes["global_pool"] = settings.pooling
    if settings.pooling == "avg" and settings.pretrained and _takes_norm_choice(source.architecture):
        # Weights trained with a class token end in a norm before the pooling: moving it would leave a random one.
        changes["fc_norm"] = has_pooled_norm
    return changes


def _size(source: ModelSource, settings: ModelSettings) -> tuple[int, int]:
    """(height, width) of the images, in pixels."""
    return settings.size or tuple(source.pretrained_cfg["input_size"][1:])


def _takes_norm_choice(architecture: str) -> bool:
    """Whether the network is timm's plain ViT, which can put its last norm before or behind the pooling."""
    try:
        smallest = timm.create_model(architecture, depth=1, num_classes=0)
    except TypeError:
        return False
    return isinstance(smallest, VisionTransformer)


def _created(source: ModelSource, args: dict[str, Any], settings: ModelSettings) -> nn.Module:
    try:
        model = _with_rates(source, args, settings)
    except InputError:  # says what is wrong, and is a ValueError
        raise
    except _BUILD_FAULTS as error:
        if settings.patch_size and isinstance(error, TypeError) and "patch_size" in str(error):
            raise _no_patches(source.architecture, settings.patch_size) from error
        if settings.size and isinstance(error, AssertionError):
            _check_default_patches(source, settings)
        shown = settings.model_dump(exclude_defaults=True, exclude={"name", "architecture", "pretrained"})
        asked = ", ".join(f"{name} {value}" for name, value in shown.items()) or "its own arguments"
        raise InputError(
            f"{source.architecture} cannot be built with {asked}: {error or type(error).__name__}",
            hint="leave some of these settings out, or choose a plain ViT such as vit_tiny_patch16_224",
        ) from error
    _check_dropout(model, source.architecture, settings)
    set_norm_epsilon(model, source.norm_epsilon)
    return model


def _with_rates(source: ModelSource, args: dict[str, Any], settings: ModelSettings) -> nn.Module:
    """The network with its probabilities of leaving something out; unknown ones are not said where they are off."""
    rates: dict[str, Any] = {
        "drop_path_rate": settings.drop_path,
        "pos_drop_rate": settings.dropout,
        "proj_drop_rate": settings.dropout,
        "attn_drop_rate": settings.attention_dropout,
    }
    rates = {name: rate for name, rate in rates.items() if rate or name == "drop_path_rate"}
    while True:
        try:
            return timm.create_model(source.architecture, pretrained_cfg=source.pretrained_cfg, **args, **rates)
        except TypeError as error:
            unknown = next((name for name in rates if name in str(error)), None)
            if unknown in _DROPOUTS and rates[unknown]:
                raise _no_dropout(source.architecture, _DROPOUTS[unknown], rates[unknown]) from error
            # A network without a position table of its own has no dropout behind it: the projections' remains.
            if unknown is None or (rates[unknown] and unknown != "pos_drop_rate"):
                raise
            del rates[unknown]


def _check_dropout(model: nn.Module, architecture: str, settings: ModelSettings) -> None:
    """Some networks swallow the arguments without obeying them: look at what came out."""
    dropped = {module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    for name, rate in (("dropout", settings.dropout), ("attention_dropout", settings.attention_dropout)):
        if rate and rate not in dropped:
            raise _no_dropout(architecture, name, rate)


def _no_dropout(architecture: str, name: str, rate: float) -> InputError:
    where = "projections" if name == "dropout" else "attention"
    return InputError(
        f"{architecture} cannot be built with {name} {rate}: it has no dropout in its {where}",
        hint=f"leave {name} out, or choose a plain ViT such as vit_tiny_patch16_224",
    )


def _fitted_to_patches(
    model: nn.Module, args: dict[str, Any], source: ModelSource, settings: ModelSettings
) -> tuple[nn.Module, dict[str, Any]]:
    """Refuse a size that the patch does not divide; with padding, give the position table the padded grid."""
    patch = patch_pixels(model)
    size = _size(source, settings)
    is_own = settings.size is None and settings.patch_size is None
    if is_own or patch is None or not _remainder(size, patch):
        return model, args
    if not args.get("dynamic_img_pad"):
        raise _undivided(source.architecture, size, patch, can_pad=isinstance(model, VisionTransformer))
    args = {**args, "img_size": [math.ceil(side / pixels) * pixels for side, pixels in zip(size, patch, strict=True)]}
    return _created(source, args, settings), args


def patch_pixels(model: nn.Module) -> tuple[int, int] | None:
    """(height, width) in pixels that must divide the input; None where any size is taken."""
    ratio = getattr(getattr(model, "patch_embed", None), "feat_ratio", None)
    return None if ratio is None else tuple(ratio(as_scalar=False))


def _refuse_large_patch(source: ModelSource, settings: ModelSettings) -> None:
    height, width = _size(source, settings)
    if settings.patch_size and settings.patch_size > min(height, width):
        raise InputError(
            f"a patch of {settings.patch_size}×{settings.patch_size} pixels is larger than the image of "
            f"{height}×{width}",
            hint="choose a smaller --set patch_size, such as 8, 14, 16 or 32, or a larger --image-size",
        )


def _check_patch(model: nn.Module, architecture: str, settings: ModelSettings) -> None:
    """Other networks take the argument without cutting images into patches of this size: look at what came out."""
    embed: Any = getattr(model, "patch_embed", None)
    if settings.patch_size and not (
        type(embed) is PatchEmbed and tuple(embed.patch_size) == (settings.patch_size, settings.patch_size)
    ):
        raise _no_patches(architecture, settings.patch_size)


def _no_patches(architecture: str, patch: int) -> InputError:
    return InputError(
        f"{architecture} cannot take patches of {patch}×{patch} pixels: it does not cut images into patches with one "
        "layer that could be resampled",
        hint="leave patch_size out, or choose a plain ViT such as vit_tiny_patch16_224",
    )


def _check_default_patches(source: ModelSource, settings: ModelSettings) -> None:
    """A hybrid asserts before it can be asked for its patch: ask it at its own size."""
    args = {name: value for name, value in source.model_args.items() if name != "img_size"}
    patch = patch_pixels(timm.create_model(source.architecture, pretrained_cfg=source.pretrained_cfg, **args))
    if settings.size and patch and _remainder(settings.size, patch) and not settings.pad:
        raise _undivided(source.architecture, settings.size, patch, can_pad=True)


def _remainder(size: tuple[int, int], patch: tuple[int, int]) -> bool:
    return any(side % pixels for side, pixels in zip(size, patch, strict=True))


def _undivided(architecture: str, size: tuple[int, int], patch: tuple[int, int], *, can_pad: bool) -> InputError:
    pairs = list(zip(size, patch, strict=True))
    lower = [max(pixels, side // pixels * pixels) for side, pixels in pairs]
    upper = [math.ceil(side / pixels) * pixels for side, pixels in pairs]
    return InputError(
        f"image size {size[0]}×{size[1]} is not a multiple of the {patch[0]}×{patch[1]} patch of {architecture}; "
        f"the nearest sizes are {lower[0]}×{lower[1]} and {upper[0]}×{upper[1]}",
        hint="choose one of these sizes" + (", or --set pad=true to fill up the last patches" if can_pad else ""),
    )


def _check_position(model: nn.Module, architecture: str, settings: ModelSettings) -> None:
    """Some networks swallow a position argument without obeying it: look at what came out."""
    if settings.position == "none":
        fine = isinstance(model, VisionTransformer) and model.pos_embed is None
    else:
        fine = settings.position not in ("1d", "2d") or has_position_table(model)
    if not fine:
        raise InputError(
            f"{architecture} cannot take position {settings.position!r}, only a plain ViT can",
            hint="use --position weights, or a plain ViT such as vit_tiny_patch16_224",
        )
