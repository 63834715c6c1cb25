"""`vitrail register`: a package under a name and a number that never change."""

import contextlib
import time
from pathlib import Path

from vitrail.models.package import read_package
from vitrail.models.run_package import package_of
from vitrail.rollout.acting_person import acting_person
from vitrail.rollout.lineage import lineage_of
from vitrail.rollout.version_names import version_name
from vitrail.rollout.version_store import opened_store
from vitrail.rollout.versions_shown import ShownVersion


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
        version = opened.register(name, checked.folder, lineage=lineage, by=who)
        if note:
            version = opened.add(version.id, "note", by=who, facts={"note": note})
        is_new = version.number not in [each.number for each in known]
        return ShownVersion(version, opened.folder(version.id), is_new)
