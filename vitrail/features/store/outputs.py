"""From requests for nodes to what a store keeps of every image."""

from collections.abc import Sequence

from torch import nn

from vitrail.basics.errors import InputError
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.node_requests import NodeRequest
from vitrail.features.readout import output_shapes, readout_of, without_patterns
from vitrail.features.store.manifest import ROW_COLUMNS, Kept, Output
from vitrail.prediction.runtimes.runtime import Readout


def store_outputs(
    model: nn.Module, shown: Preprocessing, requests: Sequence[NodeRequest], kept: Kept
) -> tuple[Output, ...]:
    """The outputs of a store, one for each node that is asked for or that a pattern stands for; the model is run.

    Args:
        model: in eval mode.
        shown: how it sees an image.
        requests: nodes, and how they are reduced.
        kept: how numbers are kept.

    Raises:
        InputError: see `without_patterns` and `output_shapes`; or a node is called as a column of every store is.
    """
    size = {"channels": shown.channels, "height": shown.height, "width": shown.width}
    requests = without_patterns(requests, model, **size)
    taken = [each.node for each in requests if each.node in ROW_COLUMNS]
    if taken:
        raise InputError(
            f"a node called {taken[0]!r} cannot be kept: the store has a column of that name",
            hint="read the module around it, or rename that module of your model",
        )
    shapes = output_shapes(model, requests, **size)
    return tuple(
        Output(each.node, each.node, each.reduction, shape, kept) for each, shape in zip(requests, shapes, strict=True)
    )


def outputs_readout(outputs: Sequence[Output]) -> Readout:
    """What a store asks of its model: a readout whose results are the outputs, in their order."""
    return readout_of(tuple(NodeRequest(each.node, each.reduction) for each in outputs))  # type: ignore[arg-type]
