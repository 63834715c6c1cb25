"""The graph route: a model traced, cut off behind the last node, and built anew from what is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torchvision.models.feature_extraction import DualGraphModule

from vitrail.features.node_names import Request
from vitrail.features.routes.hooks import Finish
from vitrail.features.routes.tracing import Spot, Trace, modes_kept


class GraphRoute:
    """The extractor's model is the pruned graph itself, which returns what each node gave."""

    name = "graph"

    def run(
        self,
        model: nn.Module,
        requests: tuple[Request, ...],
        finish: Finish,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
    ) -> dict[str, Tensor]:
        """The requested tensors, in the order asked."""
        args, kwargs = arguments
        outputs = model(*args, **kwargs)
        return {request.output: finish(request, outputs[request.output]) for request in requests}


class PrunedModel(DualGraphModule):
    """torchvision's pair of graphs, whose copies also stay in the mode they were in."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "PrunedModel":
        twin: PrunedModel = super().__deepcopy__(memo)
        twin.train(self.training)
        modules = dict(twin.named_modules())
        for name, module in self.named_modules():
            modules[name].training = module.training
        return twin


def pruned(model: nn.Module, found: dict[bool, Trace], requests: dict[bool, tuple[Request, ...]]) -> PrunedModel:
    """A module that runs one graph in training and one in evaluation, holding only the layers that these need.

    Layers are shared with `model`. Everything behind the last node is cut off; operations before it all stay, also
    those that no node depends on: they may work in place, move statistics or draw random numbers, and leaving them
    out would change what is asked for.

    Args:
        model: as it was traced.
        found: its graphs for training (True) and evaluation (False); they are cut, and cannot be used again.
        requests: the nodes for each mode, all of them in that mode's graph.
    """
    for mode, trace in found.items():
        _cut(trace, requests[mode])
    with modes_kept(model), _attributes(model, found[True].constants):
        module = PrunedModel(model, found[True].graph, found[False].graph, class_name=type(model).__name__)
        is_training = model.training
        module.train(is_training)
    return module


@contextmanager
def _attributes(model: nn.Module, values: dict[str, Tensor]) -> Iterator[None]:
    """Values that a module has for the moment."""
    vars(model).update(values)
    try:
        yield
    finally:
        for name in values:
            del vars(model)[name]


def _cut(trace: Trace, requests: tuple[Request, ...]) -> None:
    graph = trace.graph
    spots: dict[str, Spot] = {}
    for request in requests:
        spot = trace.find(request.node)
        assert spot is not None, request
        spots[request.output] = spot
    order = {node: index for index, node in enumerate(graph.nodes)}
    end = max((spot.last for spot in spots.values()), key=order.__getitem__)
    for node in reversed(list(graph.nodes)):
        if order[node] > order[end]:
            graph.erase_node(node)
    outputs: dict[str, Any] = {}
    for name, spot in spots.items():
        outputs[name] = spot.value
        if spot.last is not end:
            with graph.inserting_after(spot.last):
                outputs[name] = graph.call_function(copied, (spot.value,))
    graph.output(outputs)
    graph.lint()


def copied(output: Any) -> Any:
    """An output whose tensors later layers cannot change in place."""
    return tree_map(lambda part: part.clone() if isinstance(part, Tensor) else part, output)
