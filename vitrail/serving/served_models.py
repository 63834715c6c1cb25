"""Which packages are served, under which names and with which weights: as somebody asked for it."""

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.models.run_package import package_of
from vitrail.traffic.routes import BY_WEIGHT, COMMAND_LINE, DEFAULT_SALT, MOST_WEIGHT, Arm, Routes, refuse_odd_name

_WEIGHT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)


Found = Callable[[str], tuple[Path, str] | None]


@dataclass(frozen=True)
class AskedPackage:
    """One package as it was asked for.

    Attributes:
        place: the path as it was written.
        folder: the path from here.
        weight: None: none was said.
        name: of the model; None: after its run.
    """

    place: str
    folder: Path
    weight: float | None = None
    name: str | None = None


@dataclass(frozen=True)
class ServedPackage:
    """One model that is served.

    Attributes:
        model: its id, safe in an address.
        folder: of the package.
        weight: against the others.
    """

    model: str
    folder: Path
    weight: float


@dataclass(frozen=True)
class ServedModels:
    """What a server is asked to serve.

    Attributes:
        packages: in the order in which they were asked for.
        fallback: models that answer for others, in order; empty: all, in their order.
        anonymous: `by weight` or `first`.
        salt: what users are divided by.

    Raises:
        InputError: as `Routes`.
    """

    packages: tuple[ServedPackage, ...]
    fallback: tuple[str, ...] = ()
    anonymous: str = BY_WEIGHT
    salt: str = DEFAULT_SALT

    def __post_init__(self) -> None:
        self.routes()

    def routes(self) -> Routes:
        """One stable arm for each model, named after it, as the first revision."""
        arms = tuple(Arm(each.model, each.model, weight=each.weight) for each in self.packages)
        return Routes(1, arms, self.salt, self.anonymous, self.fallback, "as it was asked for", COMMAND_LINE)


def models_of_arguments(arguments: Sequence[str], *, found: Found = lambda _: None) -> ServedModels:
    """What `PACKAGE[=WEIGHT]…` asks for.

    Args:
        arguments: as they were typed.
        found: gives the folder of a place that is no path, such as the name of a version, and what its model is called;
            of others None.

    Raises:
        InputError: a package is not there or named twice, or a weight is none.
    """
    return ServedModels(served_packages([where_it_is(asked_package(argument), found) for argument in arguments]))


def where_it_is(asked: AskedPackage, found: Found) -> AskedPackage:
    """A package that was asked for by the name of a version, with its folder and the id of its model."""
    version = found(asked.place)
    if version is None:
        return asked
    folder, name = version
    return replace(asked, folder=folder, name=asked.name or name)


def asked_package(argument: str, *, beside: Path = Path()) -> AskedPackage:
    """`PACKAGE[=WEIGHT]`: what follows the last `=` is a weight if it is a number, else part of the path.

    A folder that is there under its whole name, and not under the shorter one, has no weight.

    Args:
        argument: as it was typed.
        beside: the folder that a relative path begins in.
    """
    place, equals, weight = argument.rpartition("=")
    whole, shorter = (beside / Path(each).expanduser() for each in (argument, place))
    if not equals or not _WEIGHT.fullmatch(weight) or (os.path.isdir(whole) and not os.path.isdir(shorter)):
        return AskedPackage(argument, whole)
    return AskedPackage(place, shorter, float(weight))


def served_packages(asked: Sequence[AskedPackage]) -> tuple[ServedPackage, ...]:
    """The packages with their models' ids, and with equal weights where none are said.

    A model is called as it is said, else after its run (`runs/ants/package`: `ants`), else after its folder; the second
    of a name gets `-2`.

    Raises:
        InputError: a package is not there or named twice, or a weight is none.
    """
    if not asked:
        raise InputError("no package to serve was given", hint="e.g. vitrail serve runs/ants/package")
    folders = [_package_folder(each) for each in asked]
    _refuse_twice(asked, folders)
    weights = _weights(asked)
    names = _names(asked, folders)
    return tuple(ServedPackage(*each) for each in zip(names, folders, weights, strict=True))


def _package_folder(asked: AskedPackage) -> Path:
    folder = package_of(asked.folder)
    if os.path.isdir(folder):
        return folder
    if os.path.exists(folder):
        raise InputError(f"{asked.place} is a file, not the folder of a package", hint="e.g. runs/NAME/package")
    hint = "vitrail fit writes one into runs/NAME/package"
    if "=" in asked.place:
        hint = "a weight is a number behind the last =, e.g. runs/ants/package=80"
    raise InputError(f"{asked.place}: no such package folder", hint=hint)


def _refuse_twice(asked: Sequence[AskedPackage], folders: Sequence[Path]) -> None:
    first: dict[str, AskedPackage] = {}
    for each, folder in zip(asked, folders, strict=True):
        before = first.setdefault(os.path.realpath(folder), each)
        if before is each:
            continue
        if before.weight != each.weight:
            said = " and ".join("none" if one.weight is None else f"{one.weight:g}" for one in (before, each))
            raise InputError(f"{each.place} has two weights: {said}", hint="name each package once")
        raise InputError(f"{each.place} is given twice", hint="name each package once")


def _weights(asked: Sequence[AskedPackage]) -> list[float]:
    without = [each for each in asked if each.weight is None]
    if without and len(without) < len(asked):
        raise InputError(
            f"{without[0].place} has no weight, others have one",
            hint="give each package a weight, or none; 0: only for fallback",
        )
    for each in asked:
        if each.weight is not None and not 0 <= each.weight <= MOST_WEIGHT:
            raise InputError(f"{each.place}: its weight is {each.weight:g}", hint="a number from 0, e.g. 80")
    if all(each.weight == 0 for each in asked):
        raise InputError("all weights are 0: nobody would answer", hint="give at least one package a weight above 0")
    return [1.0 if each.weight is None else each.weight for each in asked]


def _names(asked: Sequence[AskedPackage], folders: Sequence[Path]) -> list[str]:
    said = [each.name for each in asked if each.name is not None]
    for name in said:
        refuse_odd_name(name, "the name of a model")
        if said.count(name) > 1:
            raise InputError(f"two models are called {name}", hint="give each its own name")
    taken, names = set(said), []
    for each, folder in zip(asked, folders, strict=True):
        names.append(each.name or _unused(_safe_name(folder), taken))
        taken.add(names[-1])
    return names


def _unused(name: str, taken: set[str]) -> str:
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _safe_name(folder: Path) -> str:
    place = Path(os.path.abspath(folder))
    name = place.parent.name if place.name == "package" else place.name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-")[:50] or "model"
