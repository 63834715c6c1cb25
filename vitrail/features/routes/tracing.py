"""What a symbolic trace knows of a model: every call of every module, and every operation, each with its place."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torchvision.ops
from timm.layers._fx import get_notrace_functions, get_notrace_modules
from torch import Tensor, fx, nn
from torchvision.models.feature_extraction import NodePathTracer

from vitrail.basics.errors import InputError
from vitrail.features.node_names import Node

_TORCHVISION_OPS = [
    kind for kind in vars(torchvision.ops).values() if isinstance(kind, type) and issubclass(kind, nn.Module)
]


@dataclass(frozen=True)
class Spot:
    """Where something stands in a graph."""

    value: Any
    """The graph nodes that hold it, in tuples or dictionaries where the model returns those."""
    last: fx.Node
    """The last graph node that ran for it."""


class Tracer(NodePathTracer):
    """torchvision's tracer, which also remembers what each module call returned, so that a name means that exactly."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.calls: dict[str, list[Spot]] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Trace a module's call and remember its result."""
        output = super().call_module(m, forward, args, kwargs)
        nodes = fx.node.map_aggregate(output, lambda part: part.node if isinstance(part, fx.Proxy) else part)
        self.calls.setdefault(self.path_of_module(m), []).append(Spot(nodes, next(iter(reversed(self.graph.nodes)))))
        return output


class Trace:
    """One mode of a model as a graph, and what its names mean."""

    def __init__(self, model: nn.Module, tracer: Tracer, graph: fx.Graph) -> None:
        self.graph = graph
        self.constants: dict[str, Tensor] = {}
        """Tensors made in the model's forward, by the name under which the graph looks for them in the model."""
        self._calls = tracer.calls
        self._modules = {name for name, _ in model.named_modules()}
        self._qualified = tracer.node_to_qualname
        self._operations = self._named_operations()

    @property
    def names(self) -> list[str]:
        """Calls of innermost modules, and operations, in running order."""
        operations = {node: name for name, node in self._operations.items()}
        times: dict[str, int] = {}
        found = []
        for node in self._qualified:
            if node.op == "call_module":
                path = str(node.target)
                times[path] = times.get(path, 0) + 1
                found.append(self._call_name(path, times[path]))
            else:
                found.append(operations[node])
        return found

    @property
    def operations(self) -> dict[str, fx.Node]:
        """What is computed between modules, by name and in running order; inputs and weights are not computed."""
        return {name: node for name, node in self._operations.items() if node.op in ("call_function", "call_method")}

    def counts(self, module: str) -> int:
        """How often a module is called."""
        return len(self._calls.get(module, []))

    def find(self, node: Node) -> Spot | None:
        """Where a node stands; None when this graph has no such thing."""
        calls = self._calls.get(node.base, []) if node.is_module else []
        if len(calls) >= node.call:
            return calls[node.call - 1]
        name = node.base if not node.is_module else f"{node.base}_{node.call - 1}"
        operation = None if node.is_module and node.is_certain else self._operations.get(name)
        return None if operation is None else Spot(operation, operation)

    def _call_name(self, path: str, call: int) -> str:
        if call == 1:
            return path
        later = f"{path}_{call - 1}"
        return f"{path}#{call}" if later in self._modules else later

    def _named_operations(self) -> dict[str, fx.Node]:
        """torchvision's names, counted on where a module or a call of one has the name already."""
        taken = {
            self._call_name(path, call) for path, calls in self._calls.items() for call in range(1, len(calls) + 1)
        }
        taken |= self._modules
        named: dict[str, fx.Node] = {}
        for node, qualified in self._qualified.items():
            if node.op == "call_module":
                continue
            stem, _, ending = qualified.rpartition("_")
            base, count = (stem, int(ending)) if stem and ending.isdigit() else (qualified, 0)
            name = qualified
            while name in taken or name in named:
                count += 1
                name = f"{base}_{count}"
            named[name] = node
        return named


def traces(
    model: nn.Module, tracer_kwargs: dict[str, Any] | None, concrete_args: dict[str, Any] | None
) -> dict[bool, Trace]:
    """The model traced in training mode (True) and in evaluation mode (False); it is left as it was.

    Raises:
        InputError: the model cannot be traced.
    """
    settings = _tracer_settings(tracer_kwargs)
    found: dict[bool, Trace] = {}
    with _as_it_was(model):
        before = set(vars(model))
        for mode in sorted((True, False), key=lambda mode: mode != model.training):
            if mode != model.training:
                model.train(mode)
            found[mode] = _traced(model, settings, concrete_args)
        # The tracer leaves the constants it meets on the model.
        constants = {name: value for name, value in vars(model).items() if name not in before}
    for trace in found.values():
        trace.constants = constants
    return found


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Attributes and buffers are afterwards what they were: a forward that is traced writes stand-ins into them."""
    attributes = [(vars(module), dict(vars(module))) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for now, before in attributes:
            for name in now.keys() - before.keys():
                del now[name]
            now.update(before)
        with torch.no_grad():
            for buffer, kept in buffers:
                if not torch.equal(buffer, kept):
                    buffer.copy_(kept)


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Each module is afterwards in the mode it was in before, also when something fails."""
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def warn_of_differences(found: dict[bool, Trace]) -> None:
    """Say so when a name may mean another operation in training than in evaluation."""
    if found[True].names != found[False].names:
        warnings.warn(
            "the model runs other operations in training than in evaluation, so an operation's name may mean another "
            "one in each; give train_return_nodes and eval_return_nodes, or look at get_graph_node_names(model)",
            stacklevel=3,
        )


def _traced(model: nn.Module, settings: dict[str, Any], concrete_args: dict[str, Any] | None) -> Trace:
    tracer = Tracer(**settings)
    try:
        graph = tracer.trace(model, concrete_args=concrete_args)
    except Exception as error:  # a forward may fail on stand-ins for tensors in any way
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{type(model).__name__} cannot be traced as a graph: {type(error).__name__}: {first}",
            hint="ask for modules instead of operations, or name what must not be traced in tracer_kwargs",
        ) from error
    return Trace(model, tracer, graph)


def _tracer_settings(given: dict[str, Any] | None) -> dict[str, Any]:
    """The caller's, untouched, with what torchvision and timm keep out of traces added."""
    own = dict(given or {})
    return {
        **own,
        "autowrap_modules": (*own.get("autowrap_modules", ()), math, torchvision.ops),
        "autowrap_functions": (*own.get("autowrap_functions", ()), *get_notrace_functions()),
        "leaf_modules": [*own.get("leaf_modules", ()), *_TORCHVISION_OPS, *get_notrace_modules()],
    }
