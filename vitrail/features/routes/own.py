"""The own route: run a model of timm by its stated layer groups, as far as the last node asked for."""

from typing import Any

from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.node_names import Node, Request
from vitrail.features.routes.hooks import Finish, capture
from vitrail.models.families import Step, steps_of
from vitrail.models.layer_order import layer_order


class OwnRoute:
    """Groups are run one after another, and nothing behind the last node is.

    A call that the groups cannot answer for the model's own `forward`, because it has further arguments or because
    someone hooked or replaced that forward, takes the hooks route.
    """

    name = "own"

    def run(
        self,
        model: nn.Module,
        requests: tuple[Request, ...],
        finish: Finish,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
    ) -> dict[str, Tensor]:
        """The requested tensors, in the order asked."""
        args, kwargs = arguments
        if len(args) != 1 or kwargs or model._forward_pre_hooks or "forward" in vars(model):
            return capture(model, requests, finish, arguments)
        steps = steps_of(model)  # anew for every call: someone may have put other modules into the model
        places = {request.output: _place(steps, request.node) for request in requests}
        found: dict[str, Tensor] = {}
        state, place = args[0], 0
        for request in sorted(requests, key=lambda request: places[request.output]):
            for step in steps[place : places[request.output]]:
                state = step.run(state)
            place = places[request.output]
            # No copy: a group never works in place on what it receives, or the prefix cache could not feed it.
            found[request.output] = finish(request, state)
        return {request.output: found[request.output] for request in requests}


def why_not_own(model: nn.Module, nodes: tuple[Node, ...]) -> str | None:
    """The reason why the model's layer groups cannot give these nodes, or None when they can."""
    try:
        order = layer_order(model)
    except InputError as error:
        return error.message
    if order.why_not is not None:
        return order.why_not
    given = {name for group in order.groups for name in group.gives}
    other = [node.name for node in nodes if node.base not in given or node.call != 1]
    return f"{other[0]!r} is not the output of a layer group" if other else None


def _place(steps: tuple[Step, ...], node: Node) -> int:
    return next(index for index, step in enumerate(steps, start=1) if node.base in step.gives)
