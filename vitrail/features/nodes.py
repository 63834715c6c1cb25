"""What there is inside a model: every module with its output, size and share of the work, and every operation."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vitrail.basics.errors import InputError
from vitrail.features.outputs import tensors_in
from vitrail.features.routes.graph import extractable_operations
from vitrail.features.routes.reach import refuse_closed
from vitrail.features.routes.tracing import modes_kept, traces
from vitrail.prediction.runtimes.runtime import without_gradients


@dataclass
class ModuleNode:
    """One module, as it is seen while the model answers one example."""

    name: str
    kind: str
    """Its class."""
    parameters: int
    """In it and in all modules below it."""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Of each tensor that its first call returned, by what is written behind the name to get it (`` or `[0]`)."""
    calls: int = 0
    multiplications: int = 0
    """Of matrix products, convolutions and attention, in all its calls."""

    @property
    def extractable(self) -> list[str]:
        """Names that an extractor takes for it; a module that is never called has none."""
        later = [f"{self.name}#{call}" for call in range(2, self.calls + 1)]
        return [f"{name}{suffix}" for name in (self.name, *later) for suffix in self.shapes]


@dataclass(frozen=True)
class Inside:
    """The modules of a model, and its operations where it can be traced."""

    modules: tuple[ModuleNode, ...]
    operations: tuple[str, ...]
    """Names of the tensors that are computed between modules, in training as in evaluation; an extractor takes them."""
    why_no_operations: str | None
    parameters: int
    multiplications: int

    def share(self, node: ModuleNode) -> float:
        """The part of the model's work that is done inside a module, between 0 and 1."""
        return node.multiplications / self.multiplications if self.multiplications else 0.0


def inside(model: nn.Module, *args: Any, **kwargs: Any) -> Inside:
    """Look inside a model while it answers one example in evaluation mode; the model is left as it was.

    Args:
        model: any module of PyTorch.
        args: what the model takes.
        kwargs: what the model takes by name.

    Raises:
        InputError: the model, or a part of it, no longer runs as Python; or it does not take this example.
    """
    refuse_closed(model)
    nodes = {
        name: ModuleNode(name, type(module).__name__, sum(p.numel() for p in module.parameters()))
        for name, module in model.named_modules()
        if name
    }
    with modes_kept(model), without_gradients(model):
        model.eval()
        counter = FlopCounterMode(display=False)
        with counter, _attention_in_parts(), _watched(model, nodes, counter):
            _answered(model, args, kwargs)
        operations, why_not = _operations(model, args, kwargs)
    return Inside(
        tuple(nodes.values()),
        operations,
        why_not,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiplications=_multiplications(counter),
    )


@contextmanager
def _attention_in_parts() -> Iterator[None]:
    """torch's own attention layers in evaluation mode are one operation, of which nothing is counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _watched(model: nn.Module, nodes: dict[str, ModuleNode], counter: FlopCounterMode) -> Iterator[None]:
    """Fill the nodes while the model runs."""
    entered: list[int] = []

    def before(_module: nn.Module, _arguments: Any) -> None:
        entered.append(_multiplications(counter))

    def after(node: ModuleNode, output: object) -> None:
        node.calls += 1
        node.multiplications += _multiplications(counter) - entered.pop()
        if node.calls == 1:
            node.shapes = {suffix: tuple(tensor.shape) for suffix, tensor in tensors_in(output).items()}

    handles = []
    for name, node in nodes.items():
        module = model.get_submodule(name)
        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(lambda _module, _args, output, node=node: after(node, output)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _multiplications(counter: FlopCounterMode) -> int:
    return counter.get_total_flops() // 2  # it also counts as many additions


def _answered(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        model(*args, **kwargs)
    except Exception as error:  # a model may refuse what it does not take in any way
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{type(model).__name__} does not take this example: {type(error).__name__}: {first}",
            hint="the example is what the model is called with: a tensor, a tuple of several, or a dictionary by name",
        ) from error


def _operations(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[str, ...], str | None]:
    try:
        found = traces(model, None, None)
    except InputError as error:
        return (), error.message
    known = found[True].operations
    try:
        names = extractable_operations(model, found[False], args, kwargs)
    except Exception as error:  # noqa: BLE001 - what was decided while the graph was drawn may not hold for this example
        return (), f"the graph of {type(model).__name__} does not take this example: {type(error).__name__}: {error}"
    return tuple(name for name in names if name.partition("[")[0] in known), None
