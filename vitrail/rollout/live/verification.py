"""Whether the candidate's package is what was registered, and answers in the classes of the model that it replaces."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError, PackageError, VitrailError
from vitrail.basics.strict_json import strict_json
from vitrail.models.package_files import FACTS, REQUIRED
from vitrail.models.seal import sealed_bytes, sealed_digests
from vitrail.rollout.evidence import Verification
from vitrail.rollout.version_store import VersionStore

_MOST_NAMED = 3


@dataclass(frozen=True)
class VerifiedPackage:
    """What came of it.

    Attributes:
        verification: whether it passed, and a sentence.
        folder: of the candidate's package; None: there is none that could be used.
        classes: in the order of the model that stands.
    """

    verification: Verification
    folder: Path | None = None
    classes: tuple[str, ...] = ()


def verified(store: VersionStore, version: str, digest: str, *, stable: Path) -> VerifiedPackage:
    """Check every byte of a version's package, and its classes.

    The classes must be the same; their order may differ, because every answer names its class. The preprocessing may
    differ, because every model prepares images itself; the sentence says where it does.

    Args:
        store: that holds the version.
        version: `flowers@8`.
        digest: of its package when the rollout began.
        stable: folder of the package that it replaces.

    Raises:
        SystemFault: the store or a disk cannot be reached.
    """
    try:
        if store.version(version).digest != digest:
            raise PackageError(f"{version} has another package than when the rollout began")
        folder = store.folder(version)
        own, other = _facts(folder), _facts(stable)
    except InputError as error:
        return VerifiedPackage(Verification(False, error.message))
    difference = _difference(_classes(own), _classes(other))
    if difference:
        said = f"{version} does not know the classes that are served: {difference}"
        return VerifiedPackage(Verification(False, said))
    parts = [f"every byte of {version} is as registered (SHA-256 {digest[:12]})", f"{len(_classes(own))} classes"]
    parts += [f"{name} {was} → {now}" for name, was, now in _changes(other, own)]
    return VerifiedPackage(Verification(True, ", ".join(parts)), folder, _classes(other))


class Verifying:
    """Verifies in a thread of its own: of a large package it takes long, and a conductor that is silent is replaced.

    Args:
        verify: gives what comes of it; a `SystemFault` means that it is tried again.
    """

    def __init__(self, verify: Callable[[], VerifiedPackage]) -> None:
        self._verify = verify
        self._thread: threading.Thread | None = None
        self._result: VerifiedPackage | None = None

    def result(self) -> VerifiedPackage | None:
        """What came of it; None: it is under way, and this call began it if nobody had."""
        if self._result is None and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="vitrail verification", daemon=True)
            self._thread.start()
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._verify()
        except VitrailError:
            return  # the store or a disk is away: the next call begins anew


def _facts(folder: Path) -> dict[str, Any]:
    """What a package says of itself, every byte of it checked; without torch, which a conductor does not need."""
    digests = sealed_digests(folder, required=REQUIRED)
    try:
        facts = strict_json(sealed_bytes(folder, FACTS, digests[FACTS]))
        if not all(isinstance(each, str) for each in facts["classes"]):
            raise ValueError("its classes are no names")
    except (ValueError, TypeError, KeyError) as error:
        raise PackageError(f"{folder}: {FACTS} cannot be read: {error}") from None
    return dict(facts)


def _classes(facts: dict[str, Any]) -> tuple[str, ...]:
    return tuple(facts["classes"])


def _difference(own: tuple[str, ...], other: tuple[str, ...]) -> str:
    missing = [name for name in other if name not in set(own)]
    new = [name for name in own if name not in set(other)]
    parts = [f"{len(names)} {what} ({_named(names)})" for names, what in ((missing, "missing"), (new, "new")) if names]
    return ", ".join(parts)


def _named(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    was, now = (each.get("preprocessing", {}) for each in (before, after))
    values = [(name, was.get(name), now.get(name)) for name in ("height", "width", "channels")]
    return [each for each in values if each[1] != each[2]]
