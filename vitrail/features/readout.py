"""From requests for nodes to a readout: what a feature pass asks of a model."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.extractor import create_feature_extractor
from vitrail.features.node_names import is_pattern
from vitrail.features.node_requests import POOLED, NodeRequest
from vitrail.models.heads import pooled, pooled_features
from vitrail.prediction.runtimes.runtime import Readout


def without_patterns(
    requests: Sequence[NodeRequest], model: nn.Module, *, channels: int, height: int, width: int
) -> tuple[NodeRequest, ...]:
    """The same requests, with one for each module that is called where a pattern stood, and each node once.

    For patterns the model is run, on grey pictures of this size.

    Raises:
        InputError: no module's name matches a pattern, or a node is asked for in two ways.
    """
    found: dict[str, NodeRequest] = {}
    for each in requests:
        nodes = [each.node]
        if is_pattern(each.node):
            pictures = _grey(model, channels, height, width)
            with torch.inference_mode():
                nodes = list(create_feature_extractor(model, nodes)(pictures))
        for node in nodes:
            first = found.setdefault(node, NodeRequest(node, each.reduction)).reduction
            if first != each.reduction:
                raise InputError(
                    f"{node!r} is asked for as {first or 'it is'} and as {each.reduction or 'it is'}, "
                    "its name can stand for one output only",
                    hint=f"ask for {node}=tokens, which holds both, or write two stores",
                )
    return tuple(found.values())


def readout_of(requests: Sequence[NodeRequest]) -> Readout:
    """A readout whose results are what the requests name, in their order; the layers behind them are not run.

    Raises:
        InputError: when it is applied to a model: there is no such node, it cannot be reduced as asked, or an
            operation is asked for beside the pooled features.
    """
    name = ", ".join(f"{each.node}={each.reduction}" if each.reduction else each.node for each in requests)
    if [each.node for each in requests] == [POOLED]:
        return Readout(name, lambda model: lambda batch: (pooled_features(model, batch),))
    if any(each.node == POOLED for each in requests):
        return Readout(name, lambda model: _read_with_pooled(model, requests))
    return Readout(name, lambda model: _read(model, requests))


def output_shapes(
    model: nn.Module, requests: Sequence[NodeRequest], *, channels: int, height: int, width: int
) -> list[tuple[int, ...]]:
    """Shapes of what one image gives, in the order of the requests; the model is run once, on grey pictures.

    Raises:
        InputError: as `readout_of`, or a node does not give one row per image.
    """
    pictures = _grey(model, channels, height, width)
    with torch.inference_mode():
        found = readout_of(requests)(model)(pictures)
    for each, tensor in zip(requests, found, strict=True):
        if tensor.shape[:1] != (2,):
            raise InputError(
                f"{each.node!r} gives a tensor of shape {tuple(tensor.shape)} for 2 images, "
                "one row per image was expected",
                hint="choose a node around it; inside it windows or other parts of images are counted",
            )
    return [tuple(each.shape[1:]) for each in found]


def _grey(model: nn.Module, channels: int, height: int, width: int) -> Float[Tensor, "2 C H W"]:
    parameter = next(model.parameters())
    return torch.zeros(2, channels, height, width, device=parameter.device, dtype=parameter.dtype)


class _WithPooled(nn.Module):
    """A model whose pooled features stand at a node of their own, before its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.pooled = nn.Identity()
        self.training = self.pooled.training = model.training  # `train()` would change the model's own modules, too

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        network: Any = self.model
        state = network.forward_features(x)
        self.pooled(pooled(network, state))
        logits: Tensor = network.forward_head(state)
        return logits


def _read_with_pooled(model: nn.Module, requests: Sequence[NodeRequest]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    others = [each.node for each in requests if each.node != POOLED]
    extractor = create_feature_extractor(model, others)  # refuses what the model does not have, by the names typed
    operations = [request.node.name for request in extractor.requests if not request.node.is_module]
    if operations:
        raise InputError(
            f"{POOLED!r} and the operation {operations[0]!r} cannot be read in one pass",
            hint="write two stores, or ask for a module",
        )
    return _read(_WithPooled(model), requests, inside="model.")


def _read(
    model: nn.Module, requests: Sequence[NodeRequest], *, inside: str = ""
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    extractor = create_feature_extractor(
        model,
        {each.node if each.node == POOLED else inside + each.node: each.node for each in requests},
        reduce={each.node: each.reduction for each in requests if each.reduction is not None},
    )
    return lambda batch: tuple(extractor(batch).values())
