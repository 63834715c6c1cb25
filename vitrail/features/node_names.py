"""Names of places inside a model: modules, their later calls, operations, and parts of what they return."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn

from vitrail.basics.errors import InputError, did_you_mean

_ITEMS = re.compile(r"((?:\[[^\[\]]+\])+)$")
_HASH_CALL = re.compile(r"#([1-9][0-9]*)$")
_LATER_CALL = re.compile(r"_([1-9][0-9]*)$")
_UNCALLABLE = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


@dataclass(frozen=True)
class Node:
    """One place inside a model: a call of a module, or an operation between modules."""

    name: str
    """As it was asked for."""
    base: str
    """Full name of the module or operation."""
    call: int = 1
    """Which call of the module is meant, counted from 1."""
    items: tuple[str, ...] = ()
    """What to take out of a tuple, dictionary or data class, outermost first."""
    is_module: bool = True
    is_certain: bool = True
    """False for `name_1`, which is a module's second call unless an operation is called so."""


@dataclass(frozen=True)
class Request:
    """A node and the name under which its tensor is given back."""

    output: str
    node: Node
    is_optional: bool = False
    """Whether it stood for a pattern, and is left out where the module is not called."""


class ModuleNames:
    """Reads names against the modules of one model.

    A name is, in this order: a module's own name; with `[0]` or `[key]` behind it a part of what comes out; with `#2`
    behind it a module's second call; with `_1` behind it the same, as torchvision writes it; otherwise an operation.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules = {name: module for name, module in model.named_modules() if name}
        first_names = {id(module): name for name, module in self.modules.items()}
        everywhere = ((name, first_names.get(id(m), name)) for name, m in model.named_modules(remove_duplicate=False))
        self._second_names = {name: first for name, first in everywhere if name != first}

    def requests(self, return_nodes: object) -> tuple[Request, ...]:
        """What is asked for by a name, a list of names and patterns, or a dictionary from names to output names.

        Raises:
            InputError: nothing is asked for, not by names, two nodes under one name, or a name that no node can have.
        """
        pairs = self._pairs(return_nodes)
        if not pairs:
            raise InputError("no node was asked for, at least one was expected", hint="e.g. return_nodes=['layer4']")
        by_output: dict[str, str] = {}
        for name, output in pairs:
            if by_output.setdefault(output, name) != name:
                raise InputError(
                    f"nodes {by_output[output]!r} and {name!r} would both be given back as {output!r}",
                    hint="give each node an output name of its own",
                )
        asked = {return_nodes} if isinstance(return_nodes, str) else set(cast(Iterable[object], return_nodes))
        return tuple(Request(output, self.read(name), name not in asked) for output, name in by_output.items())

    def read(self, name: str) -> Node:
        """The node that a name means, as far as the modules' names can tell.

        Raises:
            InputError: the module is one of several names of a shared module.
        """
        if self._is_module(name):
            return Node(name, name)
        rest, items = _split(name, _ITEMS)
        parts = tuple(re.findall(r"\[([^\[\]]+)\]", items))
        if self._is_module(rest):
            return Node(name, rest, items=parts)
        base, call = _split(rest, _HASH_CALL)
        if call:
            if not self._is_module(base):
                raise unknown_node(name, self.modules, "only a module's calls can be counted with #")
            return Node(name, base, int(call[1:]), parts)
        base, call = _split(rest, _LATER_CALL)
        if call and self._is_module(base):
            return Node(name, base, int(call[1:]) + 1, parts, is_certain=False)
        return Node(name, rest, items=parts, is_module=False)

    def matching(self, pattern: str) -> list[str]:
        """Modules whose names match: `?` is one character and `*` any number, within a part between dots; `**` any.

        Raises:
            InputError: there is none.
        """
        body, items = _split(pattern, _ITEMS)
        translated = {"**": ".*", "*": r"[^.]*", "?": r"[^.]"}
        parts = (translated.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\?)", body))
        expression = re.compile("".join(parts))
        found = [n for n, m in self.modules.items() if expression.fullmatch(n) and not isinstance(m, _UNCALLABLE)]
        if not found:
            raise unknown_node(pattern, self.modules, "no module's name matches this pattern")
        return [name + items for name in found]

    def _is_module(self, name: str) -> bool:
        first = self._second_names.get(name)
        if first is not None:
            raise InputError(
                f"{name!r} is the same module as {first!r}; the call that is meant must be said",
                hint=f"ask for {first}#1, {first}#2, … in running order",
            )
        return name in self.modules

    def _pairs(self, return_nodes: object) -> list[tuple[str, str]]:
        if isinstance(return_nodes, Mapping):
            for name in return_nodes:
                if is_pattern(str(name)):
                    raise InputError(
                        f"the pattern {name!r} stands for several nodes, which cannot share one output name",
                        hint="patterns go into a list, whose outputs are called like their nodes",
                    )
            return [(str(name), str(output)) for name, output in return_nodes.items()]
        names = [return_nodes] if isinstance(return_nodes, str) else return_nodes
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise InputError(
                f"nodes were given as {return_nodes!r}; a name, a list of names or a dictionary was expected",
                hint="e.g. return_nodes=['layer3', 'layer4'] or {'layer4': 'features'}",
            )
        return [(n, n) for name in names for n in (self.matching(name) if is_pattern(name) else [name])]


def is_pattern(name: str) -> bool:
    """Whether a name holds `*` or `?`, which no module's name does."""
    return "*" in name or "?" in name


def unknown_node(name: str, known: Iterable[str], detail: str) -> InputError:
    """The error for a name that means nothing, with the names that look like it."""
    nearest = did_you_mean(name, known)
    listing = "`vitrail nodes MODEL` lists the names"
    return InputError(f"there is no node {name!r}: {detail}", hint=f"{nearest} {listing}" if nearest else listing)


def uncallable(module: nn.Module) -> bool:
    """Whether a module only holds others and is never called itself."""
    return isinstance(module, _UNCALLABLE)


def _split(text: str, ending: re.Pattern[str]) -> tuple[str, str]:
    """What stands before an ending, and the ending; an empty one when there is none."""
    found = ending.search(text)
    return (text[: found.start()], found[0]) if found else (text, "")
