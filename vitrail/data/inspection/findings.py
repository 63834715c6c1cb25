"""What a finding is: one sentence, everything it rests on, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that a person should know about a data set before training on it.

    Attributes:
        code: short name of the kind, e.g. `duplicate-across-splits`.
        severity: `error` must be mended, `warning` deserves a look, `note` is only said.
        title: one sentence with counts.
        details: one line for every file, class or group concerned.
        hint: what to do about it.
    """

    code: str
    severity: Severity
    title: str
    details: tuple[str, ...] = ()
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json` and the report."""
        return {
            "code": self.code,
            "severity": self.severity,
            "title": self.title,
            "details": list(self.details),
            "hint": self.hint,
        }


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> counted(1, "image"), counted(2000, "image"), counted(3, "class", "classes")
    ('1 image', '2,000 images', '3 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """The first names, quoted as they are written, and how many more there are.

    >>> listed(["cat", "dog", "owl"], most=2)
    "'cat', 'dog' and 1 more"
    """
    every = list(names)
    shown = ", ".join(repr(name) for name in every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"
