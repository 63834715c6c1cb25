"""From what a layer gives to what is kept: class token, mean over patches, tokens or map; length; projection."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.features.token_layout import TokenLayout

_SAY_CLASS_TOKEN = (
    "where the first token is one, set model.cls_token (to its parameter) and model.num_prefix_tokens (1, or more "
    "where others follow before the patches)"
)

Reduction = Literal["cls", "mean", "tokens", "map"]
"""`cls` (B, D): the class token; `mean` (B, D): over patches; `tokens` (B, T, D): all, prefix included;
`map` (B, D, H, W): the patches where they lie in the image."""
ImageSize = tuple[int, int] | None
"""(height, width) of the model's input in pixels; None when it takes no image."""


def checked_reduction(name: str) -> Reduction:
    """A reduction by its name.

    Raises:
        InputError: there is none of this name.
    """
    for known in get_args(Reduction):
        if name == known:
            return known
    names = get_args(Reduction)
    raise InputError(
        f"there is no reduction {name!r}; {', '.join(names)} are known",
        hint=did_you_mean(str(name), names) or "leave it out to get the tensor as it is",
    )


def reduced(
    x: Float[Tensor, " B *layer"], how: Reduction, layout: TokenLayout, image: ImageSize
) -> Float[Tensor, " B *kept"]:
    """Reduce what one layer gave.

    Args:
        x: tokens (B, T, D), a map (B, C, H, W) or (B, H, W, C), or vectors (B, D), which are their own mean.
        how: what to keep of it.
        layout: of the model that the layer belongs to.
        image: of the input; tells how tokens lie, and where a map has its channels.

    Raises:
        InputError: the tensor does not have what is asked for.
    """
    if x.ndim == 2 and how == "mean":
        return x
    if x.ndim == 4 and how in ("mean", "map"):
        channels_first = x.permute(0, 3, 1, 2) if _channels_last(x, how, layout, image) else x
        return channels_first.mean(dim=(2, 3)) if how == "mean" else channels_first
    if x.ndim != 3:
        expected = "tokens (B, T, D)" if how in ("cls", "tokens") else "tokens (B, T, D) or a map of four dimensions"
        raise _misfit(x, how, f"{expected} were expected" if "or" not in expected else f"{expected} was expected")
    if how == "tokens":
        return x
    if how == "cls":
        return _class_token(x, layout, image)
    patches = x[:, _prefix(x, how, layout, image) :]
    return patches.mean(dim=1) if how == "mean" else _as_map(patches, layout, image)


def refuse_other_rows(x: Float[Tensor, "*layer"], how: Reduction, images: Float[Tensor, "B C H W"]) -> None:
    """Let only tensors with one row per image be reduced: windows, say, are rows of their own inside a Swin block.

    Raises:
        InputError: there are more or fewer.
    """
    # A compiler would take the comparison for a condition on the number of images.
    if not torch.compiler.is_compiling() and x.shape[:1] != images.shape[:1]:
        raise _misfit(x, how, f"one row for each of {len(images)} images was expected")


def normalised(x: Float[Tensor, " B *kept"], *, feature_dimension: int) -> Float[Tensor, " B *kept"]:
    """Every vector divided by its Euclidean length; one of length 0 stays 0."""
    return functional.normalize(x, dim=feature_dimension)


def projected(
    x: Float[Tensor, " B *kept"], matrix: Float[Tensor, "D d"], *, feature_dimension: int
) -> Float[Tensor, " B *projected"]:
    """Every vector multiplied by a matrix from its D values to d.

    Raises:
        InputError: the vectors do not have D values.
    """
    width = x.shape[feature_dimension]
    if width != matrix.shape[0]:
        raise InputError(
            f"a projection of shape {tuple(matrix.shape)} does not fit vectors of {width} values",
            hint=f"give a matrix of shape ({width}, d)",
        )
    return (x.movedim(feature_dimension, -1) @ matrix.to(x.dtype)).movedim(-1, feature_dimension)


def _class_token(x: Tensor, layout: TokenLayout, image: ImageSize) -> Tensor:
    if not layout.has_class_token:
        what = f"{layout.model} is not known to have a class token"
        raise _misfit(x, "cls", what, hint=None if layout.prefix_tokens == 0 else _SAY_CLASS_TOKEN)
    if not _prefix(x, "cls", layout, image):
        raise _misfit(x, "cls", "these are patches only, the class token joins them later")
    # A slice would keep all tokens in memory for as long as the class token is kept.
    return x[:, 0].clone()


def _prefix(x: Tensor, how: Reduction, layout: TokenLayout, image: ImageSize) -> int:
    """How many of these tokens, the first ones, are not patches."""
    prefix, tokens = layout.prefix_tokens, x.shape[1]
    if prefix is None:
        raise InputError(
            f"{how!r} needs to know how many tokens of {layout.model} are not patches, and nothing says it",
            hint="set model.num_prefix_tokens, 0 where all tokens are patches",
        )
    grid = layout.patch_grid(image)
    patches = tokens - prefix if grid is None else grid[0] * grid[1]
    if prefix and tokens == patches:
        return 0
    if tokens != patches + prefix or patches < 1:
        raise _misfit(x, how, f"{patches} patches, with or without {prefix} tokens before them, were expected")
    return prefix


def _as_map(patches: Tensor, layout: TokenLayout, image: ImageSize) -> Tensor:
    grid = layout.patch_grid(image) or _grid_like(patches.shape[1], image)
    if grid is None:
        raise _misfit(patches, "map", f"{patches.shape[1]} patches do not fill a grid of the image's proportions")
    return patches.unflatten(1, grid).permute(0, 3, 1, 2)


def _grid_like(count: int, image: ImageSize) -> tuple[int, int] | None:
    """The rows and columns of `count` patches that have the proportions of the image."""
    if image is None:
        return None
    rows = round(math.sqrt(count * image[0] / image[1]))
    for height in (rows, rows + 1, rows - 1):
        if height > 0 and count % height == 0 and _proportional(height, count // height, image):
            return height, count // height
    return None


def _channels_last(x: Tensor, how: Reduction, layout: TokenLayout, image: ImageSize) -> bool:
    """Whether a map is (B, H, W, C): as the model says, unless only the other reading has the image's proportions.

    A model of (B, H, W, C) maps still has convolutions inside, whose maps are (B, C, H, W), and the other way round.
    """
    if image is None:
        return layout.channels_last
    one, two, three = (int(side) for side in x.shape[1:])  # a converter's tracing gives tensors
    first, last = _proportional(two, three, image), _proportional(one, two, image)
    if not first and not last:
        raise _misfit(x, how, f"neither its middle nor its last two sides have the proportions of {image} pixels")
    return layout.channels_last if first == last else last


def _proportional(height: int, width: int, image: tuple[int, int]) -> bool:
    """Whether a grid can come from an image by equal strides, give or take one row or column at the edge."""
    return abs(width - height * image[1] / image[0]) <= 1 or abs(height - width * image[0] / image[1]) <= 1


def _misfit(x: Tensor, how: Reduction, expected: str, *, hint: str | None = None) -> InputError:
    return InputError(
        f"{how!r} cannot be taken of a tensor of shape {tuple(x.shape)}: {expected}",
        hint=hint or "choose another reduction or node, or leave the reduction out",
    )
