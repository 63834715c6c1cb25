"""Parts of a package: what belongs to a model beside its weights, each with a version of its own, all optional.

A part is a small JSON file `parts/NAME.json` and, where it has arrays, `parts/NAME.safetensors`. Its kind is one class;
whoever does not know it leaves it alone. Nothing here imports torch: a part can be asked without the model.
"""

import importlib
import inspect
import pkgutil
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import safetensors
import safetensors.numpy
from pydantic import ConfigDict, Field

from vitrail.basics.errors import InputError, PackageError, SettingsError, did_you_mean
from vitrail.basics.files import atomic_folder, flush_folder, sha256_of, write_bytes, write_json
from vitrail.basics.settings import Settings
from vitrail.basics.strict_json import strict_json
from vitrail.models import parts as known_parts
from vitrail.models.package_files import REQUIRED, WEIGHTS
from vitrail.models.plain_files import fault_of_file
from vitrail.models.said_paths import refuse_paths
from vitrail.models.seal import copy_sealed, seal_folder, sealed_bytes, sealed_digests
from vitrail.models.weights_header import header_of

_FOLDER = "parts"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_ARRAYS, _MOST_ARRAY_BYTES = 1000, 2**30
_AGAIN = "the package can be used without this part; take it from where it was made again to have the part, too"


@dataclass(frozen=True)
class PartContent:
    """What a part is made of; no path, and no name of a person, may be in it."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By name; of any numbers that NumPy knows."""


Kind = TypeVar("Kind", bound="PackagePart")


class PackagePart(ABC):
    """A part, and its kind: one class in one file, which nobody has to be told of."""

    name: ClassVar[str]
    """Lower-case letters, digits and underscores."""
    version: ClassVar[int] = 1
    """What this class writes, and the version of reader that it is."""
    reads_from: ClassVar[int] = 1
    """The oldest version of this class that understands what this one writes."""

    @abstractmethod
    def content(self) -> PartContent:
        """What is written."""

    @classmethod
    @abstractmethod
    def from_content(cls: type[Kind], content: PartContent, *, version: int) -> Kind:
        """The part that was written, by this version or another one that says it is understood here.

        A stranger may have written it: every value must be looked at.

        Raises:
            ValueError: it makes no sense; in words.
        """


@runtime_checkable
class SealedPackage(Protocol):
    """A package whose seal was checked."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of every file by its name."""


@dataclass(frozen=True)
class SealedFiles:
    """A package of which nothing was read yet, the model least of all."""

    folder: Path
    digests: Mapping[str, str]

    def part(self, kind: type[Kind]) -> Kind:
        """See `read_part`."""
        return read_part(self, kind)


def sealed_files(folder: Path) -> SealedFiles:
    """Check a package against its seal, to ask for its parts without torch and without the model.

    Raises:
        PackageError: not a package, or a file is missing or changed (named).
    """
    if not folder.is_dir():
        raise PackageError(f"{folder}: no such package folder", hint="vitrail fit writes one into runs/NAME/package")
    return SealedFiles(folder, sealed_digests(folder, required=REQUIRED))


class _Header(Settings):
    """What stands around the facts in a part's JSON file; members that are not known here are left out."""

    model_config = ConfigDict(extra="ignore")

    part: str
    version: Annotated[int, Field(ge=1, strict=True)]
    reads_from: Annotated[int, Field(ge=1, strict=True)]
    describes: dict[str, str]
    """SHA-256 of the weights that the part was made for, and of its arrays."""
    facts: dict[str, Any]


def part_names(package: SealedPackage) -> tuple[str, ...]:
    """Names of the parts of a package, known here or not."""
    names = (re.fullmatch(rf"{_FOLDER}/({_NAME.pattern})\.json", name) for name in package.digests)
    return tuple(sorted(match[1] for match in names if match))


def kind_named(name: str) -> type[PackagePart]:
    """The kind of part that comes with Vitrail under this name.

    Raises:
        InputError: there is none.
    """
    known = [module.name for module in pkgutil.iter_modules(known_parts.__path__)]
    if name not in known:
        guess = did_you_mean(name, known)
        raise InputError(
            f"no kind of part is called {name!r} here; known: {', '.join(known)}",
            hint=guess or "ask for a kind of your own by its class: package.part(ItsClass)",
        )
    module = importlib.import_module(f"{known_parts.__name__}.{name}")
    kinds: list[type[PackagePart]] = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    return next(kind for kind in kinds if getattr(kind, "name", None) == name)


def read_part(package: SealedPackage, kind: type[Kind]) -> Kind:
    """A part of a package.

    Raises:
        PackageError: the package has no such part, the part was made for other weights, changed since the package was
            read, makes no sense, or was written for newer readers only. The package itself can be used all the same.
    """
    name = kind.name
    if name not in part_names(package):
        there = ", ".join(part_names(package)) or "none"
        raise PackageError(
            f"{package.folder}: the package has no part {name!r}; its parts: {there}",
            hint="a fit with this version of vitrail writes the parts that it can",
        )
    try:
        header = _header(package, name)
        if header.reads_from > kind.version:
            raise PackageError(
                f"{package.folder}: its part {name!r} has version {header.version}, which readers of version "
                f"{header.reads_from} or newer understand; this one is of version {kind.version}",
                hint="upgrade vitrail to read this part; the package can be used without it",
            )
        arrays = _arrays(package, name, header)
        return kind.from_content(PartContent(header.facts, arrays), version=header.version)
    except PackageError:
        raise
    except (ValueError, safetensors.SafetensorError) as error:
        raise PackageError(f"{package.folder}: its part {name!r}: {error}", hint=_AGAIN) from None


def _header(package: SealedPackage, name: str) -> _Header:
    said, arrays = _files_of(name)
    written = strict_json(sealed_bytes(package.folder, said, package.digests[said]))
    if not isinstance(written, dict):
        raise ValueError(f"{said} holds no members")
    try:
        header = _Header.parse(**written)
    except SettingsError as error:
        raise ValueError(error.message) from None
    if header.part != name:
        raise ValueError(f"{said} says that it is the part {header.part[:40]!r}")
    for file in (WEIGHTS, *([arrays] if arrays in package.digests else [])):
        if header.describes.get(file) != package.digests[file]:
            raise ValueError(f"it was made for another {file}")
    return header


def _arrays(package: SealedPackage, name: str, header: _Header) -> dict[str, np.ndarray]:
    _, file = _files_of(name)
    if file not in package.digests:
        if file in header.describes:
            raise ValueError(f"{file} is missing")
        return {}
    fault = fault_of_file(package.folder / file, most_bytes=_MOST_ARRAY_BYTES, within=package.folder)
    if fault:
        raise ValueError(f"{file} {fault}")
    if (count := len(header_of(package.folder / file))) > _MOST_ARRAYS:
        raise ValueError(f"{file} holds {count:,} arrays, at most {_MOST_ARRAYS:,} were expected")
    try:
        return safetensors.numpy.load(sealed_bytes(package.folder, file, package.digests[file]))
    except (KeyError, TypeError, AttributeError) as error:  # a kind of number that NumPy has not
        raise ValueError(f"its arrays cannot be read: {error!r}") from None


def write_parts(folder: Path, parts: Iterable[PackagePart]) -> None:
    """Write parts into a package that is being made, before it is sealed; one of the same name is replaced.

    Args:
        folder: with the weights in it.
        parts: no two of one name.

    Raises:
        InputError: a name that is none, or twice, or a path in the facts.
    """
    taken: set[str] = set()
    for part in parts:
        if not _NAME.fullmatch(part.name) or part.name in taken:
            raise InputError(
                f"a part cannot be called {part.name!r}", hint="use lower-case letters, digits and _, every name once"
            )
        taken.add(part.name)
        _write(folder, part)


def _write(folder: Path, part: PackagePart) -> None:
    content = part.content()
    refuse_paths({part.name: {"facts": content.facts, "arrays": list(content.arrays)}})
    said, file = _files_of(part.name)
    for old in (said, file):
        (folder / old).unlink(missing_ok=True)
    described = {WEIGHTS: sha256_of(folder / WEIGHTS)}
    if content.arrays:
        arrays = {name: np.ascontiguousarray(array) for name, array in content.arrays.items()}
        write_bytes(folder / file, safetensors.numpy.save(arrays))
        described[file] = sha256_of(folder / file)
    header = {"part": part.name, "version": part.version, "reads_from": part.reads_from, "describes": described}
    write_json(folder / said, {**header, "facts": dict(content.facts)})
    flush_folder(folder / _FOLDER)


def with_part(package: SealedPackage, part: PackagePart, folder: Path) -> None:
    """Write a new package that has `part`, too, or in place of an older one of that name.

    All other files, parts that are not known here among them, are copied byte for byte. The package that was there is
    not touched, and the new one appears under its name only when it is whole.

    Args:
        package: what `read_package` read.
        part: made for the weights of this package.
        folder: must not exist yet.

    Raises:
        InputError: the folder exists, or the part holds a path.
        PackageError: a file has changed since the package was read.
        SystemFault: the disk is full or may not be written.
    """
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists already, a new folder was expected", hint="choose another name or remove it")
    with atomic_folder(folder) as beginning:
        for name, digest in package.digests.items():
            copy_sealed(package.folder, name, digest, beginning / name)
        write_parts(beginning, [part])
        seal_folder(beginning)


def _files_of(name: str) -> tuple[str, str]:
    return f"{_FOLDER}/{name}.json", f"{_FOLDER}/{name}.safetensors"
