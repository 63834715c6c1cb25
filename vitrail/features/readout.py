"""From requests for nodes to a readout: what a feature pass asks of a model."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.features.extractor import create_feature_extractor
from vitrail.features.node_names import ModuleNames, is_pattern
from vitrail.features.node_requests import POOLED, NodeRequest
from vitrail.models.heads import pooled_features
from vitrail.prediction.runtimes.runtime import Readout


def without_patterns(requests: Sequence[NodeRequest], model: nn.Module) -> tuple[NodeRequest, ...]:
    """The same requests, with one for each module where a pattern stood; each node once, as it was asked for first.

    Raises:
        InputError: no module's name matches a pattern.
    """
    found: dict[str, NodeRequest] = {}
    for each in requests:
        for node in ModuleNames(model).matching(each.node) if is_pattern(each.node) else (each.node,):
            found.setdefault(node, NodeRequest(node, each.reduction))
    return tuple(found.values())


def readout_of(requests: Sequence[NodeRequest]) -> Readout:
    """A readout whose results are what the requests name, in their order; the layers behind them are not run.

    Raises:
        InputError: when it is applied to a model: there is no such node, or it cannot be reduced as asked.
    """
    name = ", ".join(f"{each.node}={each.reduction}" if each.reduction else each.node for each in requests)
    if [each.node for each in requests] == [POOLED]:
        return Readout(name, lambda model: lambda batch: (pooled_features(model, batch),))
    if any(each.node == POOLED for each in requests):
        return Readout(name, lambda model: _read(_EndingInFeatures(model), requests, inside="model."))
    return Readout(name, lambda model: _read(model, requests))


def output_shapes(
    model: nn.Module, requests: Sequence[NodeRequest], *, channels: int, height: int, width: int
) -> list[tuple[int, ...]]:
    """Shapes of what one image gives, in the order of the requests; the model is run once, on grey pictures.

    Raises:
        InputError: as `readout_of`.
    """
    parameter = next(model.parameters())
    with torch.inference_mode():
        picture = torch.zeros(2, channels, height, width, device=parameter.device, dtype=parameter.dtype)
        return [tuple(each.shape[1:]) for each in readout_of(requests)(model)(picture)]


class _EndingInFeatures(nn.Module):
    """A model that ends in its pooled features, at a node of their own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.pooled = nn.Identity()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        features: Tensor = self.pooled(pooled_features(self.model, x))
        return features


def _read(
    model: nn.Module, requests: Sequence[NodeRequest], *, inside: str = ""
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    extractor = create_feature_extractor(
        model,
        {each.node if each.node == POOLED else inside + each.node: each.node for each in requests},
        reduce={each.node: each.reduction for each in requests if each.reduction is not None},
    )
    return lambda batch: tuple(extractor(batch).values())
