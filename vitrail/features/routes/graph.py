"""The graph route: a model traced, cut off behind the last node, and built anew from what is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map
from torchvision.models.feature_extraction import DualGraphModule

from vitrail.features.node_names import Request
from vitrail.features.outputs import tensors_in
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

    def run_graph_of(self, *, training: bool) -> None:
        """Run the graph of this mode from now on; the layers, which others share, stay in the mode they are in."""
        wanted: fx.Graph = self.train_graph if training else self.eval_graph
        if fx.GraphModule.graph.fget(self) is not wanted:  # type: ignore[attr-defined]
            self.graph = wanted
        self.training = training

    def __deepcopy__(self, memo: dict[int, Any]) -> "PrunedModel":
        twin: PrunedModel = super().__deepcopy__(memo)
        twin.run_graph_of(training=self.training)
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
        module.run_graph_of(training=False)
    return module


def extractable_operations(model: nn.Module, trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Names of all tensors that operations give while the graph answers one example, in running order.

    Sizes, conditions and whatever else is no tensor has no name that an extractor takes.

    Args:
        model: as it was traced.
        trace: in the mode that the model is in.
        args: what the model takes.
        kwargs: what the model takes by name.
    """
    watching = _Watching(model, trace, kwargs)
    with _attributes(model, trace.constants):
        watching.run(*args)
    return watching.found


class _Watching(fx.Interpreter):
    """Runs a graph and notes what each operation gives, without keeping it."""

    def __init__(self, model: nn.Module, trace: Trace, given: dict[str, Any]) -> None:
        super().__init__(model, graph=trace.graph)
        self.found: list[str] = []
        self._names = {node: name for name, node in trace.operations.items()}
        self._given = given

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        """An input: by its name, or in its turn."""
        return self._given[target] if target in self._given else super().placeholder(target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        output = super().run_node(n)
        if n in self._names:
            self.found += [f"{self._names[n]}{suffix}" for suffix in tensors_in(output)]
        return output


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
