"""Two folders that journeys left, place by place."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from tools.compare.contents import contents_of
from tools.compare.left_out import FOLDER_OF_SETTINGS, comparable, left_out

MISSING = "(missing)"


@dataclass(frozen=True)
class Difference:
    """One place where two results differ.

    Attributes:
        journey: name of the journey.
        file: path in its folder.
        place: where in the file.
        old, new: the values, in words.
        largest: largest absolute difference, of arrays and numbers.
        allowed: the pattern that allows it.
    """

    journey: str
    file: str
    place: str
    old: str
    new: str
    largest: float | None = None
    allowed: str | None = None

    @property
    def name(self) -> str:
        """What patterns of `--allow` are held against."""
        return f"{self.journey}/{self.file}:{self.place}"


def differences(journey: str, old: Path, new: Path, *, allow: list[str], killed: bool = False) -> list[Difference]:
    """Where two folders differ, in the order of files; `killed`: one of them is of a killed and continued run."""
    found = []
    old_files, new_files = _files(old), _files(new)
    for file in sorted(old_files.keys() | new_files.keys()):
        if left_out(file, "", killed=killed):
            continue
        if file not in old_files or file not in new_files:
            before, after = ("there" if file in files else MISSING for files in (old_files, new_files))
            found.append(Difference(journey, file, "", before, after))
            continue
        found += _in_file(journey, file, old_files[file], new_files[file], killed)
    return [_judged(each, allow) for each in found]


def _files(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names; hashes in names of folders, which hang on the settings' form, left out."""
    return {
        FOLDER_OF_SETTINGS.sub("/SETTINGS/", file.relative_to(folder).as_posix()): file
        for file in folder.rglob("*")
        if file.is_file()
    }


def _in_file(journey: str, file: str, old: Path, new: Path, killed: bool) -> list[Difference]:
    if old.read_bytes() == new.read_bytes():
        return []
    before, after = contents_of(old), contents_of(new)
    found = []
    for place in [*before, *(place for place in after if place not in before)]:
        if left_out(file, place, killed=killed):
            continue
        one, other = (comparable(held.get(place, MISSING)) for held in (before, after))
        if not same(one, other):
            found.append(Difference(journey, file, place, in_words(one), in_words(other), largest(one, other)))
    return found


def same(old: Any, new: Any) -> bool:
    """Whether two values are the same, bit for bit."""
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return old.dtype == new.dtype and old.shape == new.shape and old.tobytes() == new.tobytes()
    return type(old) is type(new) and repr(old) == repr(new)


def largest(old: Any, new: Any) -> float | None:
    """Largest absolute difference of two numbers or two arrays of one shape; None where there is no such thing."""
    try:
        before, after = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if before.shape != after.shape or not before.size:
        return None
    return float(np.max(np.abs(before - after)))


def in_words(value: Any) -> str:
    """A value for a table."""
    if not isinstance(value, np.ndarray):
        return str(value)
    shown = ", ".join(f"{each:.9g}" for each in value.reshape(-1)[:3])
    return f"{value.dtype} {'×'.join(map(str, value.shape))} [{shown}{', …' if value.size > 3 else ''}]"


def _judged(difference: Difference, allow: list[str]) -> Difference:
    for pattern in allow:
        if fnmatchcase(difference.name, pattern):
            return replace(difference, allowed=pattern)
    return difference
