"""What is wanted of a model, as people type it: `blocks.3=cls,blocks.11=mean,norm`."""

from dataclasses import dataclass
from typing import get_args

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.features.reduction import Reduction

POOLED = "pooled"
"""The node that every model has: what its classifier stands on."""

REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)

_HINT = "write node or node=reduction, with commas between, e.g. --nodes blocks.3=cls,norm=mean"


@dataclass(frozen=True)
class NodeRequest:
    """One node of a model, and how what is there becomes smaller; it is called what the node is called."""

    node: str
    reduction: Reduction | None = None


def parse_nodes(text: str) -> tuple[NodeRequest, ...]:
    """The requests that a text holds, in its order.

    >>> parse_nodes("blocks.3=cls, norm")
    (NodeRequest(node='blocks.3', reduction='cls'), NodeRequest(node='norm', reduction=None))

    Raises:
        InputError: a request is empty, its reduction is not known, or a node is asked for twice.
    """
    requests: dict[str, NodeRequest] = {}
    for part in text.split(","):
        node, equals, reduction = (word.strip() for word in part.partition("="))
        if not node:
            raise InputError(f"--nodes {text!r}: there is no node in {part!r}", hint=_HINT)
        if (equals and reduction not in REDUCTIONS) or (node == POOLED and equals):
            raise InputError(f"--nodes {text!r}: {_fault(node, reduction)}", hint=_hint(node, reduction))
        if node in requests:
            raise InputError(
                f"--nodes {text!r}: {node!r} is asked for twice, its name can stand for one output only",
                hint=f"ask for {node}=tokens, which holds both, or write two stores",
            )
        requests[node] = NodeRequest(node, reduction or None)  # type: ignore[arg-type]
    return tuple(requests.values())


def _fault(node: str, reduction: str) -> str:
    if node == POOLED:
        return f"{POOLED!r} is one vector already, it takes no reduction"
    return f"{reduction!r} is no reduction, one of {', '.join(REDUCTIONS)} was expected"


def _hint(node: str, reduction: str) -> str:
    return f"write {POOLED}" if node == POOLED else did_you_mean(reduction, REDUCTIONS) or _HINT
