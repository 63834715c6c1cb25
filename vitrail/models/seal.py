"""The seal on a folder: SHA-256 of every file in it, and of the list itself.

It shows accidents: a flipped bit, a file cut short or exchanged. It holds off nobody who makes the list again, so what
a sealed folder says is checked like what any stranger says.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from vitrail.basics.errors import PackageError
from vitrail.basics.files import atomic_file, regular_file, sha256_of, write_bytes
from vitrail.basics.strict_json import MOST_BYTES
from vitrail.models.plain_files import fault_of_file, memory_bytes
from vitrail.models.weights_header import fault_of_length

SEAL = "SHA256SUMS"
_PICKLES = (".bin", ".pth", ".pt", ".pkl", ".pickle", ".ckpt", ".joblib", ".tar")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_LOOKED_AT_FIRST = 2**30
"""Bytes of weights from which on their header is asked before they are hashed, which takes seconds."""
_HINT = "take the package from where it was made again; nothing of it was used"


def seal_folder(folder: Path) -> None:
    """Write `SHA256SUMS` over all files below `folder`, replacing an older one.

    The list is what `sha256sum -c SHA256SUMS` reads; its first line, a comment to that tool, seals the list itself.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digests = {name: sha256_of(folder / name) for name in names if name != SEAL}
    write_bytes(folder / SEAL, _text(digests).encode())


def sealed_digests(folder: Path, *, required: tuple[str, ...]) -> dict[str, str]:
    """Check every sealed file, and return the digests by name.

    Args:
        folder: a folder that `seal_folder` sealed.
        required: files that must be in the list.

    Raises:
        PackageError: a file is missing, changed or damaged (the message names it), the list was changed, or the folder
            holds a file that could run code.
    """
    digests = _listed(folder, required)
    _refuse_odd_files(folder, digests)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _PICKLES:
            raise PackageError(
                f"{folder}: {path.relative_to(folder)} may hold code (pickle); "
                "a package holds safetensors and JSON only",
                hint="remove that file, or take the package from where it was made again",
            )
    for name, digest in digests.items():
        if sha256_of(folder / name) != digest:
            raise PackageError(f"{folder}: {name} was changed after the package was made", hint=_HINT)
    return digests


def sealed_bytes(folder: Path, name: str, digest: str) -> bytes:
    """Read a file whose digest is known; what is returned is exactly what was checked.

    Raises:
        PackageError: the file is gone or has changed since.
    """
    _refuse_odd_files(folder, [name])
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise PackageError(f"{folder}: {name} was changed after the package was made", hint=_HINT)
    return content


def copy_sealed(folder: Path, name: str, digest: str, target: Path) -> None:
    """Copy a file whose digest is known, of any size; what lies at `target` then is exactly what was checked.

    Raises:
        PackageError: the file is gone or has changed since.
    """
    _refuse_odd_files(folder, [name])
    with regular_file(folder / name) as source, atomic_file(target) as copy:
        shutil.copyfileobj(source, copy, 2**20)
    if sha256_of(target) != digest:
        raise PackageError(f"{folder}: {name} was changed after the package was made", hint=_HINT)


def _refuse_odd_files(folder: Path, names: Iterable[str]) -> None:
    """Nothing is opened that would wait, never end, lie elsewhere, or be larger than what can be loaded here."""
    for name in names:
        is_weights = name.endswith(".safetensors")
        most = memory_bytes() if is_weights else MOST_BYTES
        fault = fault_of_file(folder / name, most_bytes=most, within=folder)
        if fault is None and is_weights and (folder / name).stat().st_size > _LOOKED_AT_FIRST:
            fault = fault_of_length(folder / name)
        if fault:
            raise PackageError(f"{folder}: {name} {fault}", hint=_HINT)


def _listed(folder: Path, required: tuple[str, ...]) -> dict[str, str]:
    fault = fault_of_file(folder / SEAL, most_bytes=MOST_BYTES, within=folder)
    if fault and fault != "is missing":
        raise PackageError(f"{folder}: {SEAL} {fault}", hint=_HINT)
    if fault:
        present = ", ".join(name for name in required if (folder / name).exists())
        what = f"{SEAL} is missing" if present else "it is not a package"
        raise PackageError(
            f"{folder}: {what}; a folder with {', '.join((*required, SEAL))} was expected",
            hint="vitrail fit writes a package into runs/NAME/package",
        )
    text = (folder / SEAL).read_bytes().decode(errors="replace")
    matches = [_LINE.fullmatch(line) for line in text.splitlines()[1:]]
    digests = {match[2]: match[1] for match in matches if match is not None}
    if text != _text(digests) or any(_leaves(name) for name in digests):
        raise PackageError(f"{folder}: {SEAL} was changed after the package was made", hint=_HINT)
    for name in required:
        if name not in digests:
            raise PackageError(f"{folder}: {name} is missing from {SEAL}", hint=_HINT)
    return digests


def _text(digests: dict[str, str]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return f"# sha256 of the lines below: {hashlib.sha256(lines.encode()).hexdigest()}\n{lines}"


def _leaves(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def package_digest(folder: Path) -> str:
    """One number for all that is in a sealed folder: the SHA-256 of its list, without looking at the files themselves.

    Raises:
        PackageError: it has no list.
    """
    try:
        return sha256_of(folder / SEAL)
    except OSError as error:
        raise PackageError(f"{folder}: {SEAL} cannot be read: {error.strerror or error}", hint=_HINT) from error
