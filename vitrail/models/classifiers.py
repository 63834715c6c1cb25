"""What a network's logits come from: linear maps of pooled features, in every shape in which timm's heads hold them."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from timm.layers.classifier import ClassifierHead
from torch import Tensor, nn


@dataclass(frozen=True)
class Branch:
    """One classifier of a network; a distilled one has two, whose logits are averaged.

    Attributes:
        before: modules between what timm calls pooled features and the linear maps: a norm (LeViT, RepViT), a hidden
            layer (CAFormer).
        layers: the linear maps; several where each sees a block of the features' columns (CrossViT, EfficientViM).
        mixing: unnormalised logarithms of the layers' shares in the logits; None: equal shares.
    """

    before: tuple[nn.Module, ...]
    layers: tuple[nn.Module, ...]
    mixing: Tensor | None = None

    def entering(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B E"]:
        """What enters the linear maps."""
        for module in self.before:
            x = module(x)
        return x

    def shares(self) -> Float[Tensor, " L"]:
        """Of each linear map in the logits; they sum to 1."""
        if self.mixing is not None:
            return self.mixing.softmax(-1)
        return torch.full((len(self.layers),), 1 / len(self.layers))

    def logits(self, entering: Float[Tensor, "B E"]) -> Float[Tensor, "B K"]:
        """From what `entering` gives to this classifier's logits."""
        if len(self.layers) == 1:
            return _applied(self.layers[0], entering)
        blocks = entering.split([width_of(layer) for layer in self.layers], dim=1)
        parts = zip(self.shares(), self.layers, blocks, strict=True)
        return torch.stack([share * _applied(layer, block) for share, layer, block in parts]).sum(0)


def branches_of(model: nn.Module) -> tuple[Branch, ...]:
    """The classifiers of a timm model; one that is not understood has a layer that is not linear."""
    timm_model: Any = model
    found = timm_model.get_classifier()
    heads = found if isinstance(found, tuple) else (found,)
    mixings = (getattr(model, "weights", None), getattr(model, "weights_dist", None))
    if all(isinstance(head, nn.ModuleList) for head in heads):
        pairs = zip(heads, mixings, strict=False)
        return tuple(Branch((), tuple(head), mixing if _mixes(mixing, head) else None) for head, mixing in pairs)
    return tuple(branch for head in heads for branch in _branches(head))


def width_of(layer: Any) -> int:
    """How many features enter a linear map."""
    return int(layer.weight.shape[1])


def is_linear(layer: nn.Module) -> bool:
    """Whether a layer is a linear map with bias of vectors, or of maps of one pixel."""
    fits = isinstance(layer, nn.Linear) or (
        isinstance(layer, nn.Conv2d) and layer.weight.shape[1:].numel() == width_of(layer)
    )
    return fits and layer.bias is not None


def resize(model: nn.Module, classes: int) -> None:
    """Give every linear map of the classifiers another number of outputs, with values of no meaning yet.

    timm's `reset_classifier` would also throw away the norms and hidden layers before them, and RepViT's second head.
    """
    names = {id(module): name for name, module in model.named_modules()}
    for layer in (layer for branch in branches_of(model) for layer in branch.layers):
        where, _, name = names[id(layer)].rpartition(".")
        setattr(model.get_submodule(where), name, _of_classes(layer, classes))
    for module in model.modules():
        if isinstance(getattr(module, "num_classes", None), int):
            setattr(module, "num_classes", classes)  # noqa: B010 - torch says every attribute is a tensor or module


def _branches(head: Any) -> tuple[Branch, ...]:
    inside = dict(head.named_children())
    if isinstance(head, ClassifierHead):
        # Some networks (Sequencer, SAM) give the whole head, pooling included, where others give its last layer.
        return _branches(head.fc)
    if hasattr(head, "distillation") and "head" in inside:  # RepViT
        names = ("head", "head_dist") if head.distillation else ("head",)
        return tuple(branch for name in names for branch in _branches(inside[name]))
    for last in ("l", "linear"):
        if list(inside) in (["bn", last], ["bn", "drop", last]):  # LeViT's and RepViT's NormLinear
            return (Branch(tuple(inside[name] for name in inside if name != last), (inside[last],)),)
    if set(inside) == {"fc1", "act", "norm", "fc2", "head_drop"}:  # MetaFormer's MlpHead
        return (Branch(tuple(inside[name] for name in ("fc1", "act", "norm", "head_drop")), (inside["fc2"],)),)
    if list(inside) == ["linear"]:  # CPUBone
        return (Branch((), (inside["linear"],)),)
    return (Branch((), (head,)),)


def _mixes(mixing: Any, layers: nn.ModuleList) -> bool:
    return isinstance(mixing, nn.Parameter) and mixing.shape == (len(layers),)


def _applied(layer: nn.Module, x: Float[Tensor, "B E"]) -> Float[Tensor, "B K"]:
    result: Tensor = layer(x if isinstance(layer, nn.Linear) else x[..., None, None])
    return result.flatten(1)


def _of_classes(layer: Any, classes: int) -> nn.Module:
    made: nn.Module
    if isinstance(layer, nn.Linear):
        made = nn.Linear(layer.in_features, classes)
    else:
        made = nn.Conv2d(layer.in_channels, classes, 1)
    return made.to(layer.weight).train(layer.training)
