"""`vitrail versions`, `sign`, `alias`, `retire`: what is registered, and what is said of it."""

import contextlib
import time
from pathlib import Path

from vitrail.rollout.acting_person import acting_person
from vitrail.rollout.version_names import version_name
from vitrail.rollout.version_store import opened_store
from vitrail.rollout.versions_shown import ShownVersion, ShownVersions


def versions(name: str | None = None, *, store: str | Path | None = None) -> ShownVersions:
    """What the version store holds: states, aliases, lineage, signatures and the whole history.

    Args:
        name: of a model, or one version such as `flowers@stable`; None: all.
        store: as for `register`.

    Returns:
        Versions in order; `print` shows them, a line each.

    Raises:
        InputError: there is no version of that name.
        SystemFault: the store cannot be read.
    """
    with contextlib.closing(opened_store(store, time.time)) as opened:
        if name is None:
            return ShownVersions(opened.shown, [each for known in opened.names() for each in opened.versions(known)])
        asked, chosen = version_name(name), opened.version(name)
        is_whole = asked.number is None and asked.alias is None
        return ShownVersions(opened.shown, opened.versions(asked.name) if is_whole else [chosen])


def sign(version: str, *, by: str, note: str, store: str | Path | None = None) -> ShownVersion:
    """Answer for a version with your name; what is signed is the digest of its package, which is checked before.

    Args:
        version: e.g. `flowers@7`.
        by: who signs.
        note: what is said: what was looked at, and why it may be used.
        store: as for `register`.

    Raises:
        InputError: there is no such version, nobody is named, or nothing is said.
        PackageError: its package is not the one that was registered.
        SystemFault: the store cannot be reached.
    """
    with contextlib.closing(opened_store(store, time.time)) as opened:
        return ShownVersion(opened.sign(version, by=by, note=note))


def set_alias(
    version: str, alias: str, *, by: str | None = None, note: str = "", store: str | Path | None = None
) -> ShownVersion:
    """Call a version `stable` or `candidate`; what was `stable` before is `previous` from the same moment on.

    Args:
        version: e.g. `flowers@7`.
        alias: `stable` or `candidate`.
        by: who says so; None: the user of this machine.
        note: why.
        store: as for `register`.

    Raises:
        InputError: there is no such version or alias, or the version was rejected or retired.
        SystemFault: the store cannot be reached.
    """
    with contextlib.closing(opened_store(store, time.time)) as opened:
        return ShownVersion(opened.set_alias(version, alias, by=acting_person(by), note=note))


def retire(version: str, *, by: str | None = None, note: str = "", store: str | Path | None = None) -> ShownVersion:
    """Take a version out of use: it stays in the store, and becomes `stable` no more.

    Args:
        version: e.g. `flowers@3`; not the one that is `stable`.
        by: who says so; None: the user of this machine.
        note: why.
        store: as for `register`.

    Raises:
        InputError: there is no such version, or it is `stable`.
        SystemFault: the store cannot be reached.
    """
    with contextlib.closing(opened_store(store, time.time)) as opened:
        return ShownVersion(opened.set_state(version, "retired", by=acting_person(by), why=note))
