"""Shapes and types are checked in all tests; where no shape is stated, by beartype alone.

jaxtyping's hook wraps every function, and spends ten times as long on a call as beartype does: two fifths of the time
of tests that train. That is needed only where a signature states shapes, whose axes must agree with each other.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping

_jaxtyped = jaxtyping.jaxtyped


def install() -> None:
    """From now on modules that jaxtyping's hook imports are checked in this way."""
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(*, typechecker: Callable) -> Callable:
    """Stands for `jaxtyping.jaxtyped` in the decorators that the hook writes."""

    def checked(thing: Any) -> Any:
        if dataclasses.is_dataclass(thing) and not states_shapes(thing.__init__):
            if "__init__" in vars(thing):
                thing.__init__ = _switched(thing.__init__, typechecker)
            return thing
        if inspect.isfunction(thing) and not states_shapes(thing):
            return _switched(thing, typechecker)
        return _jaxtyped(typechecker=typechecker)(thing)

    return checked


def _switched(function: Callable, typechecker: Callable) -> Callable:
    """Checked unless jaxtyping's own switch is off."""
    strict = typechecker(function)

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        return (function if jaxtyping.config.jaxtyping_disable else strict)(*arguments, **named)

    return called


def states_shapes(function: Callable) -> bool:
    """Whether the signature holds a type of jaxtyping anywhere; also where that can only be suspected."""
    return any(map(_is_of_shapes, inspect.get_annotations(function).values()))


def _is_of_shapes(hint: Any) -> bool:
    if isinstance(hint, str | typing.ForwardRef):  # what it means is known elsewhere, or later
        return True
    if typing.get_origin(hint) is typing.Literal:
        return False
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    inside = hint if isinstance(hint, list) else typing.get_args(hint)  # Callable[[…], …] holds a list
    return any(map(_is_of_shapes, inside))
