"""What no Python code passes: the inside of compiled and scripted modules, and modules that only hold others."""

from collections.abc import Iterable

import torch
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.features.node_names import ModuleNames, Node, uncallable


def refuse_no_module(model: object) -> None:
    """Let only modules pass.

    Raises:
        InputError: it is something else, a name for example.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            f"the model was given as {type(model).__name__}, a module of PyTorch was expected",
            hint="build it first, e.g. timm.create_model('vit_tiny_patch16_224', pretrained=True)",
        )


def refuse_closed(model: nn.Module) -> None:
    """Let only models pass whose whole inside runs as Python.

    Raises:
        InputError: it is compiled, scripted or spread over devices, or a part of it is.
    """
    for name, module in model.named_modules():
        why = _why_closed(module)
        if why is not None:
            raise InputError(
                f"{type(model).__name__} cannot be looked into: {name or 'the model'} is {why[0]}",
                hint="give the model as it was before that",
            )


def refuse_unreachable(model: nn.Module, names: ModuleNames, nodes: Iterable[Node]) -> None:
    """Let only nodes pass that Python code comes by.

    Raises:
        InputError: one is at or in a module whose inside cannot be seen, or is never called by its nature.
    """
    for node in nodes:
        _refuse_closed_place(node, "the model", model)
        for name in _path(node.base):
            if name in names.modules:
                _refuse_closed_place(node, name, names.modules[name])
        if node.is_module and uncallable(names.modules[node.base]):
            last = next(reversed([n for n in names.modules if n.startswith(f"{node.base}.")]), None)
            raise InputError(
                f"{node.name!r} only holds modules and is never called, so it has no output",
                hint="`vitrail nodes MODEL` lists the names"
                if last is None
                else f"ask for what it holds, e.g. {node.base}.*",
            )


def _refuse_closed_place(node: Node, place: str, module: nn.Module) -> None:
    why = _why_closed(module)
    if why is not None:
        raise InputError(f"{node.name!r} cannot be taken out: {place} is {why[0]}", hint=why[1])


def _why_closed(module: nn.Module) -> tuple[str, str] | None:
    """What keeps hooks and traces out of a module, and how an extractor is made all the same; None: nothing does."""
    if isinstance(module, torch.jit.ScriptModule):
        return (
            "scripted, its inside no longer runs as Python",
            "make the extractor of the model before it is scripted",
        )
    if isinstance(module, torch._dynamo.OptimizedModule) or module._compiled_call_impl is not None:
        return (
            "compiled, its inside no longer runs as Python",
            "make the extractor of the model before it is compiled, then torch.compile the extractor",
        )
    if isinstance(module, nn.DataParallel):
        return (
            "a DataParallel, which runs copies of what is inside",
            "make the extractor of its .module, and one process for each device",
        )
    return None


def _path(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
