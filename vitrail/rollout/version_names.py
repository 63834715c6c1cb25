"""How versions are named: `flowers@7`, `flowers@stable`, or `flowers`, which is the latest."""

import re
from dataclasses import dataclass

from vitrail.basics.errors import InputError

STABLE, CANDIDATE, PREVIOUS = "stable", "candidate", "previous"
ALIASES = (STABLE, CANDIDATE, PREVIOUS)
"""What a version may be called beside its number; `previous` follows `stable` by itself."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class VersionName:
    """Which version is meant.

    Attributes:
        name: of the model, whose versions are counted.
        number: from 1 on; None where an alias, or the latest, is meant.
        alias: one of `ALIASES`; None where a number, or the latest, is meant.
    """

    name: str
    number: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        said = self.alias if self.number is None else self.number
        return self.name if said is None else f"{self.name}@{said}"


def version_name(text: str) -> VersionName:
    """What a text names.

    Raises:
        InputError: it is no name of a version.

    >>> version_name("flowers@7")
    VersionName(name='flowers', number=7, alias=None)
    >>> str(version_name("flowers@stable"))
    'flowers@stable'
    """
    name, at, which = text.partition("@")
    refuse_odd_name(name)
    if not at:
        return VersionName(name)
    if _NUMBER.fullmatch(which):
        return VersionName(name, number=int(which))
    if which in ALIASES:
        return VersionName(name, alias=which)
    raise InputError(
        f"{text} names no version: {which!r} is neither a number nor one of {', '.join(ALIASES)}",
        hint=f"for example {name}@1 or {name}@{STABLE}",
    )


def refuse_odd_name(name: str) -> None:
    """Refuse what could be taken for a path, an option or another version.

    Raises:
        InputError: it is no name of a model.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name of a model: 1 to 64 small letters, digits, `.`, `-` and `_` were expected, a letter "
            "or digit first",
            hint="for example --name flowers",
        )


def may_name_a_version(text: str) -> bool:
    """Whether a text can only be meant as a version: `flowers@7`, `flowers@stable`.

    >>> may_name_a_version("flowers@7"), may_name_a_version("runs/flowers"), may_name_a_version("flowers")
    (True, False, False)
    """
    name, at, which = text.partition("@")
    return bool(at and _NAME.fullmatch(name) and (_NUMBER.fullmatch(which) or which in ALIASES))
