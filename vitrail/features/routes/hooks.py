"""The hooks route: run the model's own forward, take what is wanted as it passes, and stop behind the last of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.node_names import Node, Request

Finish = Callable[[Request, object], Tensor]
"""Makes the tensor that is given back from what a node's module returned."""
Hook = Callable[[nn.Module, Any, Any], None]

# torch counts its hooks without a lock, and two threads may register at the same moment.
_registering = threading.Lock()


class HooksRoute:
    """The model itself runs, with hooks on the requested modules during the call."""

    name = "hooks"

    def run(
        self,
        model: nn.Module,
        requests: tuple[Request, ...],
        finish: Finish,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
    ) -> dict[str, Tensor]:
        """The requested tensors, in the order asked."""
        return capture(model, requests, finish, arguments)


def capture(
    model: nn.Module,
    requests: tuple[Request, ...],
    finish: Finish,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
    *,
    stop: bool = True,
) -> dict[str, Tensor]:
    """Run `model` and give back what passes the requested modules; hooks stand on them during the call only.

    What is captured is copied, so that layers behind it which work in place cannot change it; only the very last
    tensor needs no copy, because the forward ends there. Several threads may do this with one model at once: each
    takes only what passes in its own call. What stood for a pattern and is not called is left out, and known only when
    the forward is over. Under `torch.compile` the forward is not stopped, the compiler removes
    what nothing depends on.

    Args:
        model: any module that runs as Python.
        requests: calls of its modules.
        finish: applied to each output at once, inside the model's forward.
        arguments: positional and keyword arguments of the model.
        stop: leave the forward when everything is there; otherwise the whole model runs.

    Raises:
        InputError: a requested module was not called, or not as often as asked.
    """
    args, kwargs = arguments
    compiling = torch.compiler.is_compiling()
    caught = _Capture(requests, finish, stop=stop and not compiling)
    scope = _exchanged if compiling else _registered
    with scope(model, caught.hooks()):
        try:
            model(*args, **kwargs)
        except _Enough as enough:
            if enough.capture is not caught:
                raise
    caught.check_complete()
    return {request.output: caught.found[request.output] for request in requests if request.output in caught.found}


class _Enough(BaseException):
    """Leaves a forward whose rest nobody needs; no `except Exception` in a model may hold it up."""

    def __init__(self, capture: "_Capture") -> None:
        super().__init__("a feature extractor has everything it asked for")
        self.capture = capture


class _Capture:
    """What one call of an extractor waits for, and what it has found."""

    def __init__(self, requests: tuple[Request, ...], finish: Finish, *, stop: bool) -> None:
        self.found: dict[str, Tensor] = {}
        self._requests = requests
        self._finish = finish
        self._stop = stop
        self._calls = dict.fromkeys((request.node.base for request in requests), 0)

    def hooks(self) -> dict[str, Hook]:
        """A hook by the name of the module it belongs to."""
        return {name: self._hook(name) for name in self._calls}

    def check_complete(self) -> None:
        """Refuse to give back less than was asked for."""
        missing = [request for request in self._requests if request.output not in self.found]
        for request in missing:
            if not request.is_optional or len(missing) == len(self._requests):
                raise _not_called(request.node, self._calls[request.node.base])

    def _hook(self, name: str) -> Hook:
        def hook(_module: nn.Module, _arguments: Any, output: Any) -> None:
            self._calls[name] += 1
            for request in self._requests:
                if request.node.base == name and request.node.call == self._calls[name]:
                    self._keep(request, output)
            if self._stop and len(self.found) == len(self._requests):
                raise _Enough(self)

        return hook

    def _keep(self, request: Request, output: object) -> None:
        tensor = self._finish(request, output)
        ends_here = self._stop and len(self.found) == len(self._requests) - 1
        self.found[request.output] = tensor if ends_here else tensor.clone()


def _not_called(node: Node, times: int) -> InputError:
    if times:
        often = "once" if times == 1 else f"{times} times"
        what = f"{node.name!r} means call {node.call} of {node.base!r}, which was called {often} for this input"
    else:
        what = f"{node.name!r} was not called for this input"
    return InputError(
        what, hint="ask for the module around it, or another; `vitrail nodes MODEL` lists how often each one is called"
    )


@contextmanager
def _registered(model: nn.Module, hooks: dict[str, Hook]) -> Iterator[None]:
    """Hooks that hear only this thread, and are gone afterwards."""
    owner = threading.get_ident()

    def heard(hook: Hook) -> Hook:
        return lambda module, args, output: hook(module, args, output) if threading.get_ident() == owner else None

    handles = []
    try:
        with _registering:
            for name, hook in hooks.items():
                handles.append(model.get_submodule(name).register_forward_hook(heard(hook)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _exchanged(model: nn.Module, hooks: dict[str, Hook]) -> Iterator[None]:
    """The same in the form that torch.compile can follow: it cannot register, but sees an attribute exchanged."""
    modules = [model.get_submodule(name) for name in hooks]
    before = [module._forward_hooks for module in modules]
    try:
        for module, hook in zip(modules, hooks.values(), strict=True):
            module._forward_hooks = {**module._forward_hooks, -1: hook}
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            module._forward_hooks = own
