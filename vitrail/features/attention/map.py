"""`vitrail.attention_map`: where one layer and head look, on one image."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.data.given_pictures import pixels_of_one
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.attention.layers import AttentionLayers
from vitrail.features.attention.reader import AttentionReader
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.unit_pixels import Seeing

OUTLYING = 0.01
"""The share of all tokens that counts as the few that may take most of the attention."""


@dataclass(frozen=True, eq=False, repr=False)
class AttentionMap:
    """How a layer's attention is spread over one image. Attention is no cause: look at it beside the answer.

    `numpy.asarray` of it is `values`.

    Attributes:
        patches: how much of its attention the token (or tokens) that the answer stands on gives to every patch,
            (rows, columns) in [0, 1]; together with `beside` they sum to 1.
        beside: what class, distillation and register tokens get together.
        outlying: what the 1 % of all tokens that get most get together (at least one token). Large values tell of a few
            outlier tokens that take attention whatever the image shows.
        size: height and width in pixels of the image as the network saw it: resized and cropped.
        patch: height and width of a patch in pixels.
        layer: number of the layer from 0, and its name in the network.
        head: number of the head; None: the mean of all.
        picture: those pixels, uint8 (H, W, 3), where they are known.
    """

    patches: Float[np.ndarray, "rows columns"]
    beside: float
    outlying: float
    size: tuple[int, int]
    patch: tuple[int, int]
    layer: int
    name: str
    head: int | None
    picture: UInt8[np.ndarray, "H W 3"] | None = None

    @property
    def values(self) -> Float[np.ndarray, "H W"]:
        """The map at the size of the image: every pixel has the weight of its patch, in [0, 1]. Not rescaled."""
        return spread(self.patches, self.patch, self.size)

    @property
    def times_even(self) -> Float[np.ndarray, "rows columns"]:
        """How many times as much as all patches would get if they shared alike: 1 is no preference."""
        return times_even(self.patches)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.values, dtype=dtype)

    def __repr__(self) -> str:
        rows, columns = self.patches.shape
        head = "mean of all heads" if self.head is None else f"head {self.head}"
        return (
            f"attention of {self.name} (layer {self.layer}), {head}: {rows} × {columns} patches, at most "
            f"{self.times_even.max():.1f} times an even share; {self.beside:.0%} on tokens that are no patches, "
            f"{self.outlying:.0%} on the 1 % of tokens that get most"
        )


def attention_map(
    model: Any,
    image: Any,
    layer: int = -1,
    head: int | None = 0,
    *,
    preprocessing: Preprocessing | None = None,
) -> AttentionMap:
    """Where one layer and head look, on one image; for every kind of attention, also where the network fuses it.

    >>> predictor = vitrail.load("runs/ants/package")  # doctest: +SKIP
    >>> vitrail.attention_map(predictor, "photo.jpg").values.shape  # doctest: +SKIP
    (224, 224)

    Args:
        model: a predictor, a ready model, or a module of PyTorch.
        image: as for `predict`; for a module of PyTorch a tensor as it takes it, (C, H, W) or (1, C, H, W), unless
            `preprocessing` is given.
        layer: of those that attend, 0 is the first and -1 the last.
        head: 0 is the first; None: the mean of all.
        preprocessing: how a module of PyTorch is shown a picture.

    Raises:
        NoTokenAttention: the network has no attention between all tokens (an `InputError`).
        InputError: no such layer or head, or the image is not as expected.
        UnreadableImageError: the image cannot be read.
    """
    shown, x = shown_image(model, image, preprocessing=preprocessing)
    network = model if isinstance(model, nn.Module) else model.model
    found = AttentionReader(network, x).read(x, [layer])
    return map_of(found.rows(layer, head)[0], found.layers, size=x.shape[-2:], layer=layer, head=head, picture=shown)


def map_of(
    row: Float[Tensor, " tokens"], layers: AttentionLayers, *, size: Any, layer: int, head: int | None,
    picture: UInt8[np.ndarray, "H W C"] | None = None,
) -> AttentionMap:  # fmt: skip
    """The map of one row of attention, whose sum is 1."""
    place = layers.place(layer)
    values = row.double().cpu()
    few = max(1, round(OUTLYING * len(values)))
    heads = layers.heads[place]
    return AttentionMap(
        patches=values[layers.prefix :].reshape(layers.grid).float().numpy(),
        beside=float(values[: layers.prefix].sum()),
        outlying=float(values.topk(few).values.sum()),
        size=(int(size[0]), int(size[1])),
        patch=layers.patch,
        layer=place,
        name=layers.names[place],
        head=None if head is None else head % heads,
        picture=None if picture is None else np.broadcast_to(picture, (*picture.shape[:2], 3)),
    )


def shown_image(
    model: Any, image: Any, *, preprocessing: Preprocessing | None = None
) -> tuple[UInt8[np.ndarray, "H W C"] | None, Float[Tensor, "1 C H W"]]:
    """An image as pixels, where it is a picture, and as the network takes it.

    Raises:
        InputError: it is no model; a module of PyTorch was given something else than a tensor, and no preprocessing.
    """
    if not isinstance(model, nn.Module | Seeing):
        raise InputError(
            f"a model is looked into, got {type(model).__name__}",
            hint="give a predictor: vitrail.load(PACKAGE); a ready model, or a module of PyTorch",
        )
    if isinstance(image, Tensor):
        x = image if image.ndim == 4 else image[None]
        if x.ndim != 4 or len(x) != 1 or not x.is_floating_point():
            raise InputError(
                f"the image is a tensor {image.dtype} {tuple(image.shape)}; floating-point numbers (C, H, W) or "
                "(1, C, H, W) were expected, as the network takes them",
                hint="give a path or a picture, or one image of a batch: x[:1]",
            )
        return None, x if isinstance(model, nn.Module) else x.to(model.device)
    shown = preprocessing if isinstance(model, nn.Module) or preprocessing is not None else model.preprocessing
    if shown is None:
        kind = "a path" if isinstance(image, str | os.PathLike) else type(image).__name__
        raise InputError(
            f"how {type(model).__name__} is shown {kind} is not known, a tensor (1, C, H, W) was expected",
            hint="give preprocessing=, or a predictor: vitrail.load(PACKAGE)",
        )
    device = next(model.parameters()).device if isinstance(model, nn.Module) else model.device
    pixels = pixels_of_one(image, shown)
    return pixels, Normalise(shown, device)(Pixels(pixels[None]))


def times_even(patches: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Each patch's share of what all patches get, as a multiple of the share that an even spread would give it.

    >>> times_even(np.array([[0.3, 0.1], [0.1, 0.1]])).round(3).tolist()
    [[2.0, 0.667], [0.667, 0.667]]
    """
    total = patches.sum()
    return patches * (patches.size / total) if total > 0 else np.ones_like(patches)


def spread(
    patches: Float[np.ndarray, "rows columns"], patch: tuple[int, int], size: tuple[int, int]
) -> Float[np.ndarray, "H W"]:
    """Each patch's value at all of its pixels; at an edge that no patch covers, 0."""
    whole = np.kron(patches, np.ones(patch, dtype=patches.dtype))[: size[0], : size[1]]
    return np.pad(whole, [(0, size[0] - whole.shape[0]), (0, size[1] - whole.shape[1])])
