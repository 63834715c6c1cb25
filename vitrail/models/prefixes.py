"""Weights whose names stand under a prefix of the program that wrote them: `module.`, `teacher.backbone.`"""

from collections.abc import Iterable, Mapping

from torch import Tensor

from vitrail.basics.errors import InputError

_MOST_PARTS = 4


def without_prefix(tensors: Mapping[str, Tensor], known: Iterable[str], *, source: str) -> dict[str, Tensor]:
    """The tensors under the network's own names, where exactly one prefix leads there.

    Args:
        tensors: as they stand in a file.
        known: the network's names.
        source: name of the file.

    Raises:
        InputError: several prefixes do, e.g. a student's and a teacher's; all are named.
    """
    names = set(known)
    enough = len(names) / 2
    if len(names & tensors.keys()) >= enough:
        return dict(tensors)
    found = [prefix for prefix in _prefixes(tensors) if _reached(tensors, prefix, names) >= enough]
    if len(found) > 1:
        raise InputError(
            f"{source} holds several networks of this kind, under {', '.join(found)}; which one is meant is not clear",
            hint="write the tensors of one of them into a file of their own (safetensors.torch.save_file)",
        )
    if not found:
        return dict(tensors)
    inside = {name.removeprefix(found[0]): tensor for name, tensor in tensors.items() if name.startswith(found[0])}
    return {**{name: tensor for name, tensor in tensors.items() if not name.startswith(found[0])}, **inside}


def shown_names(tensors: Mapping[str, Tensor]) -> str:
    """A few names of a file, for an error."""
    return ", ".join(list(tensors)[:3]) + (", …" if len(tensors) > 3 else "")


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    found: dict[str, None] = {}
    for name in tensors:
        parts = name.split(".")
        for count in range(1, min(len(parts), _MOST_PARTS + 1)):
            found[".".join(parts[:count]) + "."] = None
    return list(found)


def _reached(tensors: Mapping[str, Tensor], prefix: str, names: set[str]) -> int:
    return sum(name.startswith(prefix) and name.removeprefix(prefix) in names for name in tensors)
