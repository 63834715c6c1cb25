"""Where the packages of versions lie: a folder each, named by its digest, on a disk or behind any fsspec URL.

What is on a shelf is never changed. A folder appears on a disk in one rename; behind a URL its seal is written last,
and a folder without its seal is none. Every byte is compared with the seal on the way in and on the way out.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import filelock
import fsspec

from vitrail.basics.errors import InputError, PackageError, SystemFault
from vitrail.basics.files import atomic_folder, cache_folder, explained_os_errors, write_bytes
from vitrail.basics.replacing import remove, remove_partial
from vitrail.models.package_files import REQUIRED
from vitrail.models.seal import SEAL, copy_sealed, listed_digests, package_digest, sealed_digests

_WAIT_SECONDS = 600
_DIGEST = re.compile(r"[0-9a-f]{64}")


@runtime_checkable
class PackageShelf(Protocol):
    """Packages by their digests."""

    shown: str
    """Where it is, without what is secret in it."""

    def put(self, package: Path) -> str:
        """Copy a package there, unless it is there already; its digest.

        Raises:
            PackageError: a file of it is missing or was changed.
            SystemFault: it cannot be written there.
        """

    def folder(self, digest: str) -> Path:
        """The package on this machine's disk, every byte of it checked.

        Raises:
            PackageError: it is not there, or was changed there.
            SystemFault: the place cannot be reached.
        """


def shelf_at(place: str) -> PackageShelf:
    """The shelf at a folder, or behind an fsspec URL: `s3://bucket/versions`, `memory://versions`.

    Raises:
        InputError: no such kind of place, or its library is not installed.
    """
    scheme, separator, rest = place.partition("://")
    if not separator or scheme in ("file", "local"):
        return FolderShelf(Path(rest if separator else place).expanduser().absolute())
    try:
        system, root = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{_without_secrets(place)}: {error}", hint="name a folder, or a URL whose library is installed"
        ) from error
    return UrlShelf(system, root.rstrip("/"), _without_secrets(place))


class FolderShelf:
    """A shelf on a disk, also one that several machines mount."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.shown = str(root)

    def put(self, package: Path) -> str:
        """See `PackageShelf.put`."""
        digests = sealed_digests(package, required=REQUIRED)
        digest = package_digest(package)
        with _one_at_a_time(self._root):
            remove_partial(self._root)
            target = self._root / digest
            if not _is_whole(target, digest):
                remove(target)
                with atomic_folder(target) as beginning:
                    _copy(package, beginning, digests, digest)
        return digest

    def folder(self, digest: str) -> Path:
        """See `PackageShelf.folder`."""
        folder = self._root / _plain(digest)
        if not folder.is_dir():
            raise _missing(digest, self.shown)
        _refuse_changed(folder, digest)
        return folder


class UrlShelf:
    """A shelf behind fsspec; what is asked for is kept in the cache of this machine."""

    def __init__(self, system: Any, root: str, shown: str) -> None:
        self._system, self._root, self.shown = system, root, shown

    def put(self, package: Path) -> str:
        """See `PackageShelf.put`."""
        digests = sealed_digests(package, required=REQUIRED)
        digest = package_digest(package)
        with self._explained():
            if self._differing(digest, digests):
                for name in (*digests, SEAL):  # the seal last: until then there is no package
                    target = self._at(digest, name)
                    self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
                    self._system.put_file(str(package / name), target)
            different = self._differing(digest, digests)
        if different:
            raise PackageError(
                f"{self.shown}: {different} did not arrive as it was sent", hint="register the package once more"
            )
        return digest

    def folder(self, digest: str) -> Path:
        """See `PackageShelf.folder`."""
        kept = cache_folder() / "versions"
        with _one_at_a_time(kept):
            remove_partial(kept)
            target = kept / _plain(digest)
            if not _is_whole(target, digest):
                remove(target)
                with atomic_folder(target) as beginning:
                    self._fetch(digest, beginning)
        return target

    def _fetch(self, digest: str, target: Path) -> None:
        with self._explained():
            if not self._system.exists(self._at(digest, SEAL)):
                raise _missing(digest, self.shown)
            seal = bytes(self._system.cat_file(self._at(digest, SEAL)))
            if hashlib.sha256(seal).hexdigest() != digest:
                raise PackageError(f"{self.shown}: {SEAL} of {digest[:12]} was changed", hint=_HINT)
            write_bytes(target / SEAL, seal)
            for name in listed_digests(target, required=REQUIRED):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                self._system.get_file(self._at(digest, name), str(target / name))
        _refuse_changed(target, digest)

    def _differing(self, digest: str, digests: dict[str, str]) -> str | None:
        """The first file that is not there as it is to be."""
        for name, wanted in {**digests, SEAL: digest}.items():
            place, found = self._at(digest, name), hashlib.sha256()
            if not self._system.exists(place):
                return name
            with self._system.open(place, "rb") as file:
                for piece in iter(lambda file=file: file.read(2**20), b""):
                    found.update(piece)
            if found.hexdigest() != wanted:
                return name
        return None

    def _at(self, digest: str, name: str) -> str:
        return f"{self._root}/{_plain(digest)}/{name}"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = error.strerror or str(error) or type(error).__name__
            raise SystemFault(f"{self.shown}: {said}", hint="can this place be reached, and may you use it?") from error


_HINT = "register the package again from where it was made; nothing of it was used"


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    with explained_os_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(root / ".lock", timeout=_WAIT_SECONDS)
    try:
        with lock:
            yield
    except filelock.Timeout:
        raise SystemFault(
            f"{root}: another process has been writing there for {_WAIT_SECONDS} s", hint="wait for it to end"
        ) from None


def _copy(package: Path, target: Path, digests: dict[str, str], digest: str) -> None:
    for name, each in digests.items():
        copy_sealed(package, name, each, target / name)
    copy_sealed(package, SEAL, digest, target / SEAL)


def _is_whole(folder: Path, digest: str) -> bool:
    try:
        _refuse_changed(folder, digest)
    except PackageError:
        return False
    return True


def _refuse_changed(folder: Path, digest: str) -> None:
    if package_digest(folder) != digest:
        raise PackageError(f"{folder}: {SEAL} was changed after the version was registered", hint=_HINT)
    sealed_digests(folder, required=REQUIRED)


def _missing(digest: str, shown: str) -> PackageError:
    return PackageError(f"{shown}: there is no package {digest[:12]}", hint=_HINT)


def _plain(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise InputError(f"{digest[:80]!r} is no SHA-256", hint="the version store was changed by something else")
    return digest


def _without_secrets(place: str) -> str:
    return re.sub(r"(://)[^/@]*@", r"\1***@", place)
