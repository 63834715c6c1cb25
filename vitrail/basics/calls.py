"""A call of a function as Python text, so that a report can name the call that made it."""

import inspect
import numbers
import os
from collections.abc import Callable
from typing import Any


def call_text(function: Callable[..., Any], *given: Any, **named: Any) -> str:
    """The call that does the same again: `vitrail.fit("photos", image_size=96)`.

    Args:
        function: one of Vitrail's own.
        given: its positional arguments.
        named: its other arguments; those that are as they are by default are left out.

    >>> call_text(call_text, "photos", seed=1, stages=("head", "all"), cache=None)
    'vitrail.call_text("photos", seed=1, stages=("head", "all"), cache=None)'
    """
    defaults = {name: each.default for name, each in inspect.signature(function).parameters.items()}
    asked = {name: value for name, value in named.items() if name not in defaults or value is not defaults[name]}
    values = [*map(value_text, given), *(f"{name}={value_text(value)}" for name, value in asked.items())]
    return f"vitrail.{function.__name__}({', '.join(values)})"


def value_text(value: Any) -> str:
    """A value as Python writes it; a table, or whatever has no short text, by its kind and length: `<Table of 9 rows>`.

    >>> value_text({"a": [1, True, None]}), value_text("it's")
    ('{"a": [1, True, None]}', '"it\\'s"')
    """
    match value:
        case None | bool():
            return str(value)
        case str() | os.PathLike():
            return _quoted(os.fspath(value))
        case numbers.Integral():
            return str(int(value))
        case numbers.Real():
            return str(float(value))
        case dict():
            return "{" + ", ".join(f"{value_text(name)}: {value_text(each)}" for name, each in value.items()) + "}"
        case list():
            return f"[{', '.join(map(value_text, value))}]"
        case tuple():
            return f"({', '.join(map(value_text, value))}{',' if len(value) == 1 else ''})"
    is_ours = type(value).__module__.partition(".")[0] == "vitrail"
    if is_ours and (shown := repr(value)).startswith("vitrail."):  # as the call that makes it
        return shown
    rows = f" of {len(value):,} rows" if hasattr(value, "__len__") else ""
    return f"<{type(value).__name__}{rows}>"


def _quoted(text: Any) -> str:
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain.startswith("'") and '"' not in plain else plain
