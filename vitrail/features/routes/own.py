"""The own route: run a model of timm by its stated layer groups, as far as the last node asked for."""

from typing import Any

from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.node_names import Node, Request
from vitrail.features.routes.hooks import Finish, capture
from vitrail.models.layer_order import LayerOrder, layer_order


class OwnRoute:
    """Groups are run one after another, and nothing behind the last node is.

    A call that the groups cannot answer for the model's own `forward`, because it has further arguments or because
    someone hooked or replaced that forward, takes the hooks route.
    """

    name = "own"

    def __init__(self) -> None:
        self._order: LayerOrder | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "OwnRoute":
        # A layer order runs the modules of the model it was made for; the copy belongs to another.
        return OwnRoute()

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
        order = self._order = self._order or layer_order(model)
        places = {request.output: _place(order, request.node) for request in requests}
        found: dict[str, Tensor] = {}
        state, place = args[0], 0
        for request in sorted(requests, key=lambda request: places[request.output]):
            state, place = order.run(state, place, places[request.output]), places[request.output]
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


def _place(order: LayerOrder, node: Node) -> int:
    return next(index for index, group in enumerate(order.groups, start=1) if node.base in group.gives)
