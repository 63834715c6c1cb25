"""`vitrail register`, `versions`, `sign`, `alias`: packages under names and numbers that never change."""

import contextlib
import time
from pathlib import Path

from vitrail.models.package import read_package
from vitrail.models.run_package import package_of
from vitrail.rollout.acting_person import acting_person
from vitrail.rollout.lineage import lineage_of
from vitrail.rollout.version_names import version_name
from vitrail.rollout.version_store import opened_store
from vitrail.rollout.versions_shown import ShownVersion, ShownVersions


def register(
    package: str | Path,
    *,
    name: str,
    note: str = "",
    parent: str | None = None,
    by: str | None = None,
    store: str | Path | None = None,
    files: str | None = None,
) -> ShownVersion:
    """Keep a package as the next version of a name: copied, every byte checked, never changed from then on.

    The same content under the same name keeps the number that it has.

    >>> vitrail.register("runs/flowers", name="flowers")  # doctest: +SKIP

    Args:
        package: a package, or the run that made it.
        name: of the model, whose versions are counted: `flowers`.
        note: what is to be known about it.
        parent: the version that it follows, e.g. `flowers@6`; None: the one whose weights its training began from.
        by: who registers it; None: the user of this machine.
        store: address of the version store, a file or `postgresql://…`; None: `$VITRAIL_VERSIONS`, else
            `runs/versions.sqlite`.
        files: where packages are kept, a folder or an fsspec URL, said once; None: `versions` beside SQLite's file.

    Returns:
        The version, and the folder of its package.

    Raises:
        PackageError: it is no package, or damaged.
        InputError: the name is none, or there is no such parent.
        SystemFault: the store cannot be written, or the extra `serve` is not installed.
    """
    given = Path(package).expanduser()
    checked, who = read_package(package_of(given)), acting_person(by)
    with contextlib.closing(opened_store(store, time.time, files=files)) as opened:
        follows = None if parent is None else opened.version(parent)
        known = opened.versions(version_name(name).name)
        lineage = lineage_of(checked, given, parent=follows, known=known)
        version = opened.register(name, checked, lineage=lineage, by=who)
        if note:
            version = opened.add(version.id, "note", by=who, facts={"note": note})
        is_new = version.number not in [each.number for each in known]
        return ShownVersion(version, opened.folder(version.id), is_new)


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
