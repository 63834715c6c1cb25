"""Values from a file or a request, as JSON and YAML give them: of the type that is needed, or refused with words."""

from collections.abc import Iterable, Mapping
from typing import Any

from vitrail.basics.errors import InputError, did_you_mean


def members_of(value: Any, what: str, known: tuple[str, ...], *, needed: Iterable[str] = ()) -> Mapping[str, Any]:
    """An object's members, none of which is unknown.

    Args:
        value: of any type.
        what: names it in a sentence: `an arm`.
        known: names that a member may have.
        needed: names that must be there.

    Raises:
        InputError: it is no object, or has other members.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{shown(value)} was given as {what}", hint=f"a mapping with {', '.join(known)}")
    for name in value:
        if name not in known:
            hint = did_you_mean(str(name), known) or known_names(known)
            raise InputError(f"{shown(name)} is no part of {what}", hint=hint)
    for name in needed:
        if name not in value:
            raise InputError(f"{what} without {name}", hint=f"a mapping with {', '.join(known)}")
    return value


def text_of(value: Any, what: str) -> str:
    """A text that UTF-8 can hold.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, str):
        raise InputError(f"{what} is {shown(value)}, a text was expected", hint="write it in quotes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what} is {shown(value)}: half a character", hint="a text that UTF-8 can hold") from None
    return value


def number_of(value: Any, what: str) -> float:
    """A number; yes and no are none.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass  # more than 308 digits
    raise InputError(f"{what} is {shown(value)}, a number was expected", hint="e.g. 80 or 0.05")


def list_of(value: Any, what: str) -> list[Any]:
    """A list.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, list):
        raise InputError(f"{what} is {shown(value)}, a list was expected", hint="write it in brackets: [first, second]")
    return value


def known_names(names: Iterable[str]) -> str:
    """A hint that tells all names."""
    return f"known: {', '.join(names)}"


def shown(value: Any) -> str:
    """A value in a sentence, in one line of ASCII, and not too long."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
