"""Errors that say what happened, what was expected, and what to type next.

Every error a user can meet is a `VitrailError`. Its text is the whole story: the first line says what
happened with the actual value, further lines give details, and the last one, `hint:`, what to do.
The class decides the exit code of the command line.

What is wrong with an argument or a file is a `ValueError` too, as code written for torchvision, timm or scikit-learn
expects. It is the only builtin error that is promised: a missing file is not a `FileNotFoundError`, because the same
argument may be a name, a pattern or a folder.
"""

import difflib
import functools
from collections.abc import Iterable


class VitrailError(Exception):
    """A fault with a message and, where there is one, a hint.

    Args:
        message: what happened, with the actual value, and what was expected.
        hint: something the user can type or do; shown on a line of its own.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\nhint: {hint}")
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple:
        # Errors travel from worker processes; the keyword-only hint must travel with them.
        return functools.partial(type(self), hint=self.hint), (self.message,)


class InputError(VitrailError, ValueError):
    """Data, a file or an argument is not what was expected (exit code 2); a `ValueError` too."""


class SettingsError(InputError):
    """One or more settings are misspelled or out of range; all of them are listed (exit code 2)."""


class UnreadableImageError(InputError):
    """One image cannot be decoded; `message` begins with its path (exit code 2)."""


class ChangedImageError(InputError):
    """An image is not the one that was checked any more; `message` begins with its path (exit code 2)."""


class PackageError(InputError):
    """A package is damaged, too new, or not a package (exit code 2)."""


class DamagedError(InputError):
    """A file that Vitrail wrote is not what was written, and cannot be made again by itself (exit code 2)."""


class FindingsError(VitrailError):
    """A check found something that must be fixed before going on (exit code 1)."""

    exit_code = 1


class TrainingFault(VitrailError):
    """Training went wrong by itself, e.g. its loss is no longer finite; what was finished is kept (exit code 1)."""

    exit_code = 1


class SystemFault(VitrailError):
    """The machine refused: disk full, no permission, no network, an extra not installed (exit code 3)."""

    exit_code = 3


def missing_extra(extra: str, error: ImportError) -> SystemFault:
    """What to raise where an optional package cannot be imported; `extra` is Vitrail's extra that brings it."""
    return SystemFault(f"{extra} is not installed: {error}", hint=f"pip install 'vitrail[{extra}]'")


_SEPARATORS = str.maketrans("", "", "_-. ")


def nearest_names(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Up to `most` known names that look like `name`, best first; empty when none does.

    One that lacks nothing but its separators is meant, and no other.

    >>> nearest_names("learning_rte", ["learning_rate", "epochs"])
    ['learning_rate']
    >>> nearest_names("batchsize", ["patch_size", "batch_size"])
    ['batch_size']
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    if name.lower() not in by_lower:
        joined = [each for lower, each in by_lower.items() if lower.translate(_SEPARATORS) == name.lower()]
        if joined:
            return joined[:most]
    close = difflib.get_close_matches(name.lower(), by_lower, n=most, cutoff=0.6)
    return [by_lower[match] for match in close]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean a, b?` for a misspelled name, or an empty string when nothing is near."""
    names = nearest_names(name, known)
    return f"did you mean {', '.join(names)}?" if names else ""
