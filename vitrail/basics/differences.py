"""What differs between two descriptions of the same kind, in words."""

from typing import Any


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """One line for every value that is not the same in both; values within values are named with dots.

    >>> differences({"a": {"b": 1}}, {"a": {"b": 2}})
    ['  - a.b: was 1, now 2']
    """
    lines = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            lines.append(f"  - {prefix}{name}: was {old!r}, now {new!r}")
    return lines


def have_other_names(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether one of them has a value that the other does not know, whatever it is.

    >>> have_other_names({"a": {"b": 1}}, {"a": {"b": 2}}), have_other_names({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}})
    (False, True)
    """
    within = [(before[name], now[name]) for name in before.keys() & now.keys()]
    return before.keys() != now.keys() or any(
        have_other_names(old, new) for old, new in within if isinstance(old, dict) and isinstance(new, dict)
    )
