"""Modules in the mode that a call needs, and afterwards in the one they were in, also where threads share them."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import nn

Modes = Mapping[nn.Module, bool]
"""Whether each module is in training mode."""


@dataclass
class _Held:
    """A module that calls have put into a mode: what it was, and by how many calls of which thread it is held."""

    before: bool
    calls: dict[int, int] = field(default_factory=dict)


_held: dict[nn.Module, _Held] = {}
_turn = threading.Condition()


def modes_of(model: nn.Module) -> dict[nn.Module, bool]:
    """The mode that each module was given by whoever owns it, whatever calls have made of it for the moment."""
    with _turn:
        return {module: _held[module].before if module in _held else module.training for module in model.modules()}


@contextlib.contextmanager
def in_modes(wanted: Modes) -> Iterator[None]:
    """In this block every module is in the wanted mode; behind the last of such blocks it is as it was.

    Blocks of other threads that want another mode of a module wait for their turn. A block within a block of the same
    thread does not: it would wait for itself.
    """
    me = threading.get_ident()
    with _turn:
        _turn.wait_for(lambda: not any(_is_taken(module, mode, me) for module, mode in wanted.items()))
        outside = {module: module.training for module in wanted}
        for module, mode in wanted.items():
            held = _held.setdefault(module, _Held(module.training))
            held.calls[me] = held.calls.get(me, 0) + 1
            module.training = mode
    try:
        yield
    finally:
        with _turn:
            for module, mode in outside.items():
                _let_go(module, mode, me)
            _turn.notify_all()


def _is_taken(module: nn.Module, mode: bool, me: int) -> bool:
    held = _held.get(module)
    return held is not None and me not in held.calls and module.training != mode


def _let_go(module: nn.Module, outside: bool, me: int) -> None:
    held = _held[module]
    held.calls[me] -= 1
    if held.calls[me]:
        module.training = outside
        return
    del held.calls[me]
    if not held.calls:
        module.training = held.before
        del _held[module]
