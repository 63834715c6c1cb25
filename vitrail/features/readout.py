"""From requests for nodes to a readout: what a feature pass asks of a model."""

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.features.node_requests import POOLED, NodeRequest
from vitrail.models.heads import pooled_features
from vitrail.prediction.execution import Readout


def readout_of(requests: Sequence[NodeRequest]) -> Readout:
    """A readout whose results are what the requests name, in their order.

    Raises:
        InputError: when it is applied to a model: there is no such node, or it cannot be reduced as asked.
    """
    if [each.node for each in requests] == [POOLED]:
        return lambda model: lambda batch: (pooled_features(model, batch),)
    return lambda model: _hooked(copy.deepcopy(model), requests)


def output_shapes(model: nn.Module, requests: Sequence[NodeRequest], *, channels: int, height: int, width: int) -> list:
    """Shapes of what one image gives, in the order of the requests; the model is run once, on a grey picture.

    Raises:
        InputError: as `readout_of`.
    """
    parameter = next(model.parameters())
    with torch.inference_mode():
        picture = torch.zeros(1, channels, height, width, device=parameter.device, dtype=parameter.dtype)
        return [tuple(each.shape[1:]) for each in readout_of(requests)(model)(picture)]


# Everything below is a stand-in for the extractor.


def _hooked(model: nn.Module, requests: Sequence[NodeRequest]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    found, modules = threading.local(), dict(model.named_modules())
    for each in requests:
        if each.node == POOLED:
            continue
        if each.node not in modules:
            raise InputError(
                f"the model has no node {each.node!r}",
                hint=did_you_mean(each.node, modules) or f"for example {', '.join(list(modules)[1:4])}",
            )
        modules[each.node].register_forward_hook(lambda _m, _i, out, name=each.node: found.here.update({name: out}))

    def read(batch: Tensor) -> tuple[Tensor, ...]:
        found.here = {}
        features = pooled_features(model, batch)
        found.here[POOLED] = features
        return tuple(_reduced(model, found.here[each.node], each) for each in requests)

    return read


def _reduced(model: nn.Module, state: Any, request: NodeRequest) -> Tensor:
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    if not isinstance(state, Tensor):
        raise InputError(f"node {request.node!r} gives {type(state).__name__}, one tensor was expected")
    match request.reduction, state.ndim:
        case (None, _) | ("tokens", 3) | ("map", 4):
            return state
        case "cls", 3 if prefix:
            return state[:, 0]
        case "mean", 3:
            return state[:, prefix:].mean(dim=1)
        case "mean", 4:
            return state.mean(dim=(2, 3))
        case "map", 3:
            patches = state[:, prefix:].transpose(1, 2)
            side = round(patches.shape[2] ** 0.5)
            return patches.unflatten(2, (side, side))
    shape = tuple(state.shape[1:])
    raise InputError(f"node {request.node!r} has the shape {shape}, it cannot be reduced to {request.reduction!r}")
