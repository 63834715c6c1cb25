"""One tensor out of what a module returned: itself, or a part of a tuple, dictionary or data class."""

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from vitrail.basics.errors import InputError
from vitrail.features.node_names import Node


def one_tensor(output: object, node: Node) -> Tensor:
    """The tensor that a node's name means.

    Args:
        output: whatever the module or operation gave.
        node: with the items to take.

    Raises:
        InputError: an item that is not there, or something that is not one tensor.
    """
    value = output
    for item in node.items:
        held = _held(value)
        if item not in held:
            raise InputError(
                f"{node.name!r} asks for [{item}] of {_described(value)}, which does not have it",
                hint=_hint(output, node),
            )
        value = held[item]
    if isinstance(value, Tensor):
        return value
    raise InputError(f"{node.name!r} is not one tensor but {_described(value)}", hint=_hint(output, node))


def tensors_in(output: object) -> dict[str, Tensor]:
    """Every tensor in an output by what must be written behind the node's name to get it: empty, `[0]`, `[a][1]`.

    >>> import torch
    >>> list(tensors_in((torch.zeros(1), {"a": torch.zeros(2)})))
    ['[0]', '[1][a]']
    """
    if isinstance(output, Tensor):
        return {"": output}
    return {f"[{key}]{rest}": t for key, value in _held(output).items() for rest, t in tensors_in(value).items()}


def _held(value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, tuple | list):
        return {str(index): item for index, item in enumerate(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {}


def _described(value: object) -> str:
    kind = type(value).__name__
    held = tensors_in(value)
    if not held:
        return f"{kind} without a tensor" if value is not None else "None"
    return f"{kind} with " + ", ".join(f"{suffix} {tuple(tensor.shape)}" for suffix, tensor in held.items())


def _hint(output: object, node: Node) -> str:
    base = node.base if node.call == 1 else f"{node.base}#{node.call}"
    names = [f"{base}{suffix}" for suffix in tensors_in(output)]
    return f"ask for {' or '.join(names)}" if names else "ask for another node; `vitrail nodes MODEL` lists the names"
