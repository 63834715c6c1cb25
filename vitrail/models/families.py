"""How each family of networks runs, written out once as a list of steps: the knowledge behind `layer_order`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from timm.models import checkpoint
from timm.models.convnext import ConvNeXt
from timm.models.deit import VisionTransformerDistilled
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import Tensor, nn
from torch.nn.utils import parametrize

Run = Callable[[Tensor], Tensor]
Timm = Any
"""A module of timm; its attributes are not described by any type."""


@dataclass(frozen=True)
class Step:
    """One group of layers: what it is called, whose parameters it holds, and how it runs."""

    name: str
    owns: tuple[str, ...]
    """Names of modules or parameters of the model that belong to this step."""
    run: Run
    gives: tuple[str, ...] = ()
    """Names of modules whose own output is, exactly, what this step returns."""


def why_not_in_parts(model: nn.Module) -> str | None:
    """The reason why a model cannot be run group by group, or None when it can.

    A subclass may run otherwise than its parent, so only the classes themselves are recognised.
    """
    if _own_type(model) not in FAMILIES:
        return f"the running order of {type(model).__name__} is not written out"
    if getattr(model, "shared_rel_pos", None) is not None:
        return "its blocks share one position network, whose dropout is drawn once for all of them in training"
    return None


def steps_of(model: nn.Module) -> tuple[Step, ...]:
    """The steps, in running order, of a model for which `why_not_in_parts` has no reason."""
    return tuple(FAMILIES[_own_type(model)](model))


def _own_type(model: nn.Module) -> type:
    """The class of a model, also when a parametrisation has put a class of its own before it."""
    return type(model).__mro__[1] if parametrize.is_parametrized(model) else type(model)


def _block(block: nn.Module, is_checkpointed: Callable[[], bool]) -> Run:
    """Run one block, recomputing it in the backward pass when the model's own switch says so."""

    def run(x: Tensor) -> Tensor:
        return checkpoint(block, x) if is_checkpointed() and torch.is_grad_enabled() else block(x)

    return run


def _norm(model: Timm, name: str) -> Iterator[Step]:
    """The norm behind the last block, where the model has one there."""
    norm = model.get_submodule(name)
    if not isinstance(norm, nn.Identity):
        yield Step("norm", (name,), norm, gives=(name,))


def _plain_blocks(model: Timm) -> Iterator[Step]:
    for index, block in enumerate(model.blocks):
        owns = (f"blocks.{index}",)
        yield Step(f"block {index + 1}", owns, _block(block, lambda: model.grad_checkpointing), gives=owns)


def _vit(model: Timm) -> Iterator[Step]:
    def stem(x: Tensor) -> Tensor:
        return model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(x))))

    tokens = ("cls_token", "reg_token", "dist_token", "pos_embed", "parametrizations.pos_embed")
    yield Step("stem", (*tokens, "patch_embed", "norm_pre"), stem, gives=("norm_pre",))
    yield from _plain_blocks(model)
    yield from _norm(model, "norm")
    yield Step("head", ("attn_pool", "fc_norm", "head", "head_dist"), model.forward_head)


def _relative_vit(model: Timm) -> Iterator[Step]:
    def stem(x: Tensor) -> Tensor:
        x = model.patch_embed(x)
        return x if model.cls_token is None else torch.cat((model.cls_token.expand(x.shape[0], -1, -1), x), dim=1)

    yield Step("stem", ("cls_token", "patch_embed"), stem)
    yield from _plain_blocks(model)
    yield from _norm(model, "norm")
    yield Step("head", ("fc_norm", "head"), model.forward_head)


def _staged_blocks(stages: Timm, path: str) -> Iterator[Step]:
    """Blocks of stages that begin with a downsampling, which goes with the stage's first block."""

    def first(stage: Timm, run: Run) -> Run:
        return lambda x: run(stage.downsample(x))

    def switch(stage: Timm) -> Callable[[], bool]:
        return lambda: bool(stage.grad_checkpointing)

    count = 0
    for stage_index, stage in enumerate(stages.children()):
        for index, block in enumerate(stage.blocks):
            count += 1
            run = _block(block, switch(stage))
            owns: tuple[str, ...] = (f"{path}.{stage_index}.blocks.{index}",)
            gives = (*owns, f"{path}.{stage_index}") if index == len(stage.blocks) - 1 else owns
            if index == 0:
                run, owns = first(stage, run), (f"{path}.{stage_index}.downsample", *owns)
            yield Step(f"block {count}", owns, run, gives)


def _swin(model: Timm) -> Iterator[Step]:
    yield Step("stem", ("patch_embed",), model.patch_embed, gives=("patch_embed",))
    yield from _staged_blocks(model.layers, "layers")
    yield from _norm(model, "norm")
    yield Step("head", ("head",), model.forward_head)


def _convnext(model: Timm) -> Iterator[Step]:
    yield Step("stem", ("stem",), model.stem, gives=("stem",))
    yield from _staged_blocks(model.stages, "stages")
    yield from _norm(model, "norm_pre")
    yield Step("head", ("head",), model.forward_head)


def _pvt(model: Timm) -> Iterator[Step]:
    """Between blocks the state is the map (B, H, W, C); behind a stage's norm it is (B, C, H, W), as timm has it."""

    def on_map(stage: Timm, block: nn.Module, *, is_first: bool, is_last: bool) -> Run:
        def run(x: Tensor) -> Tensor:
            if is_first and stage.downsample is not None:
                x = stage.downsample(x)
            batch, height, width, channels = x.shape
            tokens = x.reshape(batch, -1, channels)
            recompute = stage.grad_checkpointing and torch.is_grad_enabled()
            tokens = checkpoint(block, tokens, (height, width)) if recompute else block(tokens, (height, width))
            if not is_last:
                return tokens.reshape(batch, height, width, -1)
            return stage.norm(tokens).reshape(batch, height, width, -1).permute(0, 3, 1, 2).contiguous()

        return run

    yield Step("stem", ("patch_embed",), model.patch_embed)
    count = 0
    for stage_index, stage in enumerate(model.stages):
        path, last = f"stages.{stage_index}", len(stage.blocks) - 1
        for index, block in enumerate(stage.blocks):
            count += 1
            owns = [f"{path}.blocks.{index}"]
            owns += [f"{path}.downsample"] if index == 0 else []
            owns += [f"{path}.norm"] if index == last else []
            run = on_map(stage, block, is_first=index == 0, is_last=index == last)
            yield Step(f"block {count}", tuple(owns), run, gives=(path,) if index == last else ())
    yield Step("head", ("head",), model.forward_head)


def _resnet(model: Timm) -> Iterator[Step]:
    def stem(x: Tensor) -> Tensor:
        return model.maxpool(model.act1(model.bn1(model.conv1(x))))

    yield Step("stem", ("conv1", "bn1", "maxpool"), stem, gives=("maxpool",))
    count = 0
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        blocks = list(model.get_submodule(stage).children())
        for index, block in enumerate(blocks):
            count += 1
            owns = (f"{stage}.{index}",)
            gives = (*owns, stage) if block is blocks[-1] else owns
            yield Step(f"block {count}", owns, _block(block, lambda: model.grad_checkpointing), gives)
    yield Step("head", ("global_pool", "fc"), model.forward_head)


FAMILIES: dict[type, Callable[[Timm], Iterator[Step]]] = {
    VisionTransformer: _vit,
    VisionTransformerDistilled: _vit,
    VisionTransformerRelPos: _relative_vit,
    SwinTransformer: _swin,
    ConvNeXt: _convnext,
    PyramidVisionTransformerV2: _pvt,
    ResNet: _resnet,
}
"""Families whose running order is written out; every other model of timm is grouped, but not run in parts."""
