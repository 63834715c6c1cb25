"""Where a version came from: its run, its data, the version whose weights it began from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitrail.models.package import Package
from vitrail.models.package_files import WEIGHTS
from vitrail.rollout.version_records import Version

_FROM_PROVENANCE = ("created", "trained", "weights", "weights_sha256", "images", "data_fingerprint", "seed")


def lineage_of(package: Package, given: Path, *, parent: Version | None, known: Sequence[Version]) -> dict[str, Any]:
    """What is written beside a version.

    Args:
        package: that is registered.
        given: what somebody named: the package, or the run that made it.
        parent: the version that it is to follow; None: the one, if any, whose weights its training began from.
        known: versions among which that one is looked for.
    """
    provenance = package.provenance
    begun = parent or _begun_from(provenance, known)
    found = {name: provenance[name] for name in _FROM_PROVENANCE if name in provenance}
    run = given if given.resolve() != package.folder.resolve() else package.folder.parent
    return {
        "run": run.name if (run / "journal.jsonl").is_file() else None,
        "parent": None if begun is None else begun.id,
        "architecture": package.architecture,
        "classes": len(package.classes),
        "own_weights_sha256": package.digests[WEIGHTS],
        **found,
    }


def _begun_from(provenance: Mapping[str, Any], known: Sequence[Version]) -> Version | None:
    weights = provenance.get("weights_sha256")
    matching = [each for each in known if weights and each.lineage.get("own_weights_sha256") == weights]
    return matching[-1] if matching else None
