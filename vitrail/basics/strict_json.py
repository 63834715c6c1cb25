"""JSON from strangers: what the standard allows, and nothing that another reader would understand otherwise."""

import json
from typing import Any

MOST_BYTES = 64 * 2**20
"""More than any description, report or list of class names needs."""


def strict_json(content: bytes) -> Any:
    """The value of a JSON text.

    `json.loads` alone takes `NaN`, keeps the last of two members of one name, ends in `RecursionError` on deep nesting,
    and passes on halves of characters that no file can be written with.

    Raises:
        ValueError: not UTF-8, not JSON, nested too deeply, a member twice, or a number or text that is none; in words.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, at most {MOST_BYTES:,} were expected")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once)
        # Half a surrogate pair ("\ud800") is text to Python only.
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:40]} is larger than any number here")
    return value


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands in it twice")
    return found
