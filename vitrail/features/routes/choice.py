"""Which route is taken, and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.features.node_names import ModuleNames, Node, Request, unknown_node
from vitrail.features.routes.graph import GraphRoute, pruned
from vitrail.features.routes.hooks import HooksRoute
from vitrail.features.routes.own import OwnRoute, why_not_own
from vitrail.features.routes.reach import refuse_no_module, refuse_unreachable
from vitrail.features.routes.tracing import Trace, traces, warn_of_differences

Requests = dict[bool, tuple[Request, ...]]
"""What is asked for in training (True) and in evaluation (False)."""


Route = OwnRoute | HooksRoute | GraphRoute


@dataclass(frozen=True)
class Chosen:
    """A route, what it runs, and why it was taken."""

    route: Route
    model: nn.Module
    requests: Requests
    reason: str


def choose(
    model: nn.Module,
    return_nodes: Mapping[str, object],
    *,
    route: str,
    tracer_kwargs: dict[str, Any] | None,
    concrete_args: dict[str, Any] | None,
    suppress_diff_warning: bool,
) -> Chosen:
    """Resolve every name and choose how to get there.

    Args:
        model: the whole model.
        return_nodes: what is asked for in `both` modes, or in `train` and in `eval`.
        route: `auto`, or the route to take.
        tracer_kwargs: for the tracer.
        concrete_args: for the tracer.
        suppress_diff_warning: say nothing when operations differ between the modes.

    Raises:
        InputError: a name that means nothing, a node that cannot be reached, a route that cannot do it.
    """
    if route not in ("auto", "own", "hooks", "graph"):
        raise InputError(
            f"there is no route {route!r}; auto, own, hooks and graph are known",
            hint=did_you_mean(route, ["auto", "own", "hooks", "graph"]) or "leave it out",
        )
    refuse_no_module(model)
    names = ModuleNames(model)
    asked = _asked(names, return_nodes)
    refuse_unreachable(model, names, _nodes(asked))
    traced = _Traced(lambda: traces(model, tracer_kwargs, concrete_args))
    requests: Requests = {mode: tuple(_settled(r, names, traced, mode) for r in asked[mode]) for mode in asked}
    operations = [node.name for node in _nodes(requests) if not node.is_module]
    if route == "graph" or (route == "auto" and (operations or concrete_args)):
        reason = "asked for"
        if route == "auto":
            reason = f"{operations[0]!r} is an operation, not a module" if operations else "concrete_args were given"
        found = traced.found()
        requests = {mode: _called(found[mode], requests[mode]) for mode in requests}
        if operations and return_nodes["both"] is not None and not suppress_diff_warning:
            warn_of_differences(found)
        _check_in_graph(found, requests)
        return Chosen(GraphRoute(), pruned(model, found, requests), requests, reason)
    if operations:
        raise InputError(
            f"route {route!r} knows modules only, and {operations[0]!r} is an operation",
            hint="use route='graph', or leave the route out",
        )
    return _by_modules(model, requests, route)


def _by_modules(model: nn.Module, requests: Requests, route: str) -> Chosen:
    why_not = why_not_own(model, _nodes(requests))
    if route == "own" and why_not is not None:
        raise InputError(f"route 'own' cannot be taken: {why_not}", hint="leave the route out")
    if route == "hooks" or why_not is not None:
        return Chosen(HooksRoute(), model, requests, "asked for" if route == "hooks" else why_not or "")
    reason = "asked for" if route == "own" else "all nodes are outputs of layer groups"
    return Chosen(OwnRoute(), model, requests, reason)


def _asked(names: ModuleNames, return_nodes: Mapping[str, object]) -> Requests:
    both, train, evaluation = (return_nodes[mode] for mode in ("both", "train", "eval"))
    if (both is None) == (train is None) or (train is None) != (evaluation is None):
        raise InputError(
            "return_nodes alone, or train_return_nodes and eval_return_nodes together, were expected",
            hint="e.g. create_feature_extractor(model, ['layer4'])",
        )
    if both is not None:
        return dict.fromkeys((True, False), names.requests(both))
    return {True: names.requests(train), False: names.requests(evaluation)}


class _Traced:
    """The model's traces, made when they are first needed, or the reason why there are none."""

    def __init__(self, make: Callable[[], dict[bool, Trace]]) -> None:
        self._make = make
        self._found: dict[bool, Trace] | InputError | None = None

    def found(self) -> dict[bool, Trace]:
        """The traces.

        Raises:
            InputError: the model cannot be traced.
        """
        if self._found is None:
            try:
                self._found = self._make()
            except InputError as error:
                self._found = error
        if isinstance(self._found, InputError):
            raise self._found
        return self._found


def _settled(request: Request, names: ModuleNames, traced: _Traced, mode: bool) -> Request:
    """The request with a node that is known to be a module's call or an operation."""
    node = request.node
    if node.is_module and node.is_certain:
        return request
    try:
        trace = traced.found()[mode]
    except InputError as error:
        if node.is_module:
            return request  # Running the model will tell whether the module is called so often.
        raise unknown_node(node.name, names.modules, f"no module is called so, and {error.message}") from error
    spot = trace.find(node)
    if spot is None:
        when = "in training" if mode else "in evaluation"
        is_elsewhere = traced.found()[not mode].find(node) is not None
        detail = (
            f"no module is called so, and {when} no operation either"
            if is_elsewhere
            else "no module or operation is called so"
        )
        raise unknown_node(node.name, [*names.modules, *trace.names], detail)
    is_module = node.is_module and trace.counts(node.base) >= node.call
    base = node.base if is_module or not node.is_module else f"{node.base}_{node.call - 1}"
    return replace(request, node=replace(node, base=base, is_module=is_module, is_certain=True))


def _called(trace: Trace, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """Without what stood for a pattern and is not called, unless nothing else was asked for."""
    kept = tuple(each for each in requests if not each.is_optional or trace.find(each.node) is not None)
    return kept or requests


def _check_in_graph(found: dict[bool, Trace], requests: Requests) -> None:
    for mode, trace in found.items():
        for request in requests[mode]:
            if trace.find(request.node) is None:
                raise InputError(
                    f"the graph of the model has no call {request.node.call} of {request.node.base!r}: it is not "
                    "called, or stands inside a module that is not traced",
                    hint="use route='hooks', or another node",
                )


def _nodes(requests: Requests) -> tuple[Node, ...]:
    return tuple(request.node for mode in (True, False) for request in requests[mode])
