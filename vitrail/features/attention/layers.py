"""Which layers of a network let every token look at every other, and how its tokens lie on the image."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.attention.watching import AttentionWatch, Seen
from vitrail.features.routes.reach import refuse_closed
from vitrail.features.token_layout import TokenLayout, token_layout
from vitrail.models.network import patch_pixels

_HINT = "attention maps are for ViT and its kind: plain ViT, DeiT, BEiT, EVA, DINO, CLIP and SigLIP towers"


class NoTokenAttention(InputError):
    """A network has no attention between all of its tokens, or none that can be read; the message says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, hint=_HINT)


@dataclass(frozen=True)
class AttentionLayers:
    """The layers of one network, for images of one size.

    Attributes:
        names: of the modules that attend, in running order; L of them.
        numbers: which of the attentions of a forward pass they are.
        heads: of every layer.
        prefix: tokens before the patches: class, distillation and register tokens.
        grid: rows and columns of patches.
        patch: height and width of a patch in pixels.
        answering: places of the tokens that the classifier reads; the mean of their rows is what an answer looked at.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    heads: tuple[int, ...]
    prefix: int
    grid: tuple[int, int]
    patch: tuple[int, int]
    answering: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def tokens(self) -> int:
        """How many there are, T."""
        return self.prefix + self.grid[0] * self.grid[1]

    def place(self, layer: int) -> int:
        """The layer's number from 0 on; negative ones count from the end.

        Raises:
            InputError: there is no such layer.
        """
        if not -len(self) <= layer < len(self):
            raise InputError(
                f"layer {layer} was asked for, the network has {len(self)} layers that attend",
                hint=f"0 is the first, {len(self) - 1} or -1 the last",
            )
        return layer % len(self)

    def refuse_other_heads(self, layer: int, head: int | None) -> None:
        """Raise where a layer has no such head.

        Raises:
            InputError: it has not.
        """
        heads = self.heads[self.place(layer)]
        if head is not None and not -heads <= head < heads:
            raise InputError(
                f"head {head} was asked for, layer {layer} has {heads} heads",
                hint=f"0 is the first, {heads - 1} or -1 the last, all: their mean",
            )


def attention_layers(view: nn.Module, x: Float[Tensor, "1 C H W"]) -> AttentionLayers:
    """Find the layers by running the network once.

    Args:
        view: an `evaluation_view`: its modules get hooks for this run.
        x: an image as the network takes it, of the size that is to be looked at.

    Raises:
        NoTokenAttention: it attends in windows, between channels, or otherwise; or what is a patch is not known.
        InputError: it is compiled, scripted or spread over devices.
    """
    refuse_closed(view)
    found = _run(view, x)
    _refuse_other_kinds(view, found)
    layout = _with_patch(view, token_layout(view, ""))
    grid = layout.patch_grid((int(x.shape[-2]), int(x.shape[-1])))
    if grid is None or layout.patch is None or layout.prefix_tokens is None:
        raise NoTokenAttention(f"nobody says which of the tokens of {layout.model} are patches")
    tokens = layout.prefix_tokens + grid[0] * grid[1]
    whole = [each for each in found.seen if each.shape[2:] == (tokens, tokens)]
    others = [each for each in found.seen if each not in whole and each.shape[2] == each.shape[3]]
    if others or not whole:
        sizes = (others or found.seen)[0].shape[2:]
        raise NoTokenAttention(
            f"{layout.model} has attention of {sizes[0]} × {sizes[1]} where the image has {tokens} tokens: it compares "
            "channels, or tokens that were merged"
        )
    return AttentionLayers(
        names=tuple(found.names[each.number] for each in whole),
        numbers=tuple(each.number for each in whole),
        heads=tuple(each.shape[1] for each in whole),
        prefix=layout.prefix_tokens,
        grid=grid,
        patch=layout.patch,
        answering=_answering(view, layout, tokens),
    )


def _with_patch(view: Any, layout: TokenLayout) -> TokenLayout:
    """With the patch's size also where there are patches alone; should layers merge them, their number tells."""
    side = getattr(getattr(view, "config", None), "patch_size", None)
    for stem in ("embeds", "patch_embed"):  # the first is NaFlexVit's
        side = getattr(getattr(view, stem, None), "patch_size", side)
    stated = (side, side) if isinstance(side, int) else side
    patch = layout.patch or patch_pixels(view) or stated
    prefix = layout.prefix_tokens or 0
    return replace(layout, prefix_tokens=prefix, patch=None if patch is None else (int(patch[0]), int(patch[1])))


@dataclass(frozen=True)
class _Found:
    """Attentions of one pass; by number, in which module and call of it each happened; those used as they are."""

    seen: list[Seen]
    names: dict[int, str]
    calls: dict[int, int]
    unchanged: set[int]


def _run(view: nn.Module, x: Tensor) -> _Found:
    found = _Found([], {}, {}, set())
    inside: list[tuple[str, int]] = []
    entered = 0

    def take(seen: Seen, _weights: Tensor) -> None:
        found.seen.append(seen)
        found.names[seen.number], found.calls[seen.number] = inside[-1] if inside else ("", 0)

    handles = []
    try:
        for name, module in view.named_modules():

            def enter(_module: nn.Module, _args: Any, name: str = name) -> None:
                nonlocal entered
                entered += 1
                inside.append((name, entered))

            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(lambda *_: inside.pop() and None))
        with torch.no_grad(), AttentionWatch(take, used=found.unchanged.add):
            view(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _refuse_other_kinds(view: nn.Module, found: _Found) -> None:
    name = type(view).__name__
    if not found.seen:
        raise NoTokenAttention(
            f"{name} has no attention between tokens that could be read: it convolves, mixes, or attends in its own way"
        )
    windowed = [each for each in found.seen if each.shape[0] != 1]
    if windowed:
        raise NoTokenAttention(
            f"{name} attends within windows of {windowed[0].shape[3]} tokens, {windowed[0].shape[0]} windows an image: "
            "no token sees all others, so there is no map of the whole image"
        )
    calls = list(found.calls.values())
    for each in found.seen:
        where = found.names[each.number] or name
        if calls.count(found.calls[each.number]) > 1:
            raise NoTokenAttention(f"{where} of {name} makes its attention of several, by a difference or a sum")
        if not each.is_fused and each.number not in found.unchanged:
            raise NoTokenAttention(f"{where} of {name} changes its attention behind the softmax, as by mixing heads")


def _answering(view: Any, layout: TokenLayout, tokens: int) -> tuple[int, ...]:
    """The class token, both of a distilled ViT, or all patches where they are averaged or nothing else is there."""
    patches = tuple(range(layout.prefix_tokens or 0, tokens))
    config = getattr(view, "config", None)
    averages = bool(getattr(config, "use_mean_pooling", False))
    if not layout.has_class_token or averages or getattr(view, "global_pool", "token") not in ("token", ""):
        return patches
    return (0, 1) if getattr(view, "dist_token", None) is not None else (0,)
