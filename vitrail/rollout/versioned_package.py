"""A version where a package is expected: `flowers@7` means the folder that its store keeps."""

import contextlib
import time
from pathlib import Path
from typing import Any

from vitrail.rollout.version_names import may_name_a_version
from vitrail.rollout.version_store import opened_store


def package_of_version(name: str, store: str | Path | None = None) -> Path:
    """The package of a version on this machine, every byte of it checked: `flowers@7`, `flowers@stable`, `flowers`.

    Args:
        name: of the version; `flowers` alone is the latest.
        store: address of the version store; None: `$VITRAIL_VERSIONS`, else `runs/versions.sqlite`.

    Raises:
        InputError: there is no such version.
        PackageError: the package was changed in the store, or is gone.
        SystemFault: the store cannot be reached.
    """
    with contextlib.closing(opened_store(store, time.time)) as opened:
        return opened.folder(name)


def package_or_version(given: Any) -> Any:
    """The folder of a version where `flowers@7` or `flowers@stable` was given and no such path exists; else `given`.

    Raises:
        InputError: see `package_of_version`.
    """
    if isinstance(given, str) and may_name_a_version(given) and not Path(given).exists():
        return package_of_version(given)
    return given


def served_version(given: str) -> tuple[Path, str] | None:
    """The folder of a version that is to be served, and its model's id: `flowers@stable` is served as `flowers-7`.

    An alias moves; the id of a model that serves must not become that of another one.

    Returns:
        None where a path was given.

    Raises:
        InputError: see `package_of_version`.
    """
    if not may_name_a_version(given) or Path(given).exists():
        return None
    with contextlib.closing(opened_store(None, time.time)) as opened:
        version = opened.version(given)
        return opened.folder(version.id), version.id.replace("@", "-")
