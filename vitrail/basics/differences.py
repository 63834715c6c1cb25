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
