"""The version store learns how a rollout ended: once, however often its conductor was killed while telling it."""

from typing import Any

from vitrail.basics.errors import InputError
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.version_names import STABLE
from vitrail.rollout.version_records import Version
from vitrail.rollout.version_store import VersionStore

BY = "rollout"


def tell_versions(store: VersionStore, kept: KeptRollout) -> str:
    """Write the end of a rollout into the history of its version, and what the version is from now on.

    Of a success the version is `rolled out` and `stable`, and what was stable is `previous`; else it is `rejected`.
    What the store refuses, because somebody retired the version meanwhile, is in the line that it gives back.

    Raises:
        SystemFault: the store cannot be reached; nothing is lost by telling it again.
    """
    version = store.version(kept.version)
    why = "; ".join(kept.state.decisions[-1].sentences) if kept.state.decisions else ""
    if all(each.facts.get("id") != kept.id for each in version.history if each.kind == "rollout"):
        store.add(kept.version, "rollout", by=BY, facts=_facts(kept, why))
    try:
        return _ended(store, version, kept, why)
    except InputError as error:
        return f"{kept.version}: {error.message}"


def _ended(store: VersionStore, version: Version, kept: KeptRollout, why: str) -> str:
    said = f"rollout {kept.number}: {kept.state.result}" + (f": {why}" if why else "")
    if kept.state.result != "success":
        if version.state != "rejected":
            store.set_state(kept.version, "rejected", by=BY, why=said)
        return f"{kept.version} is rejected"
    if version.state != "rolled out":
        store.set_state(kept.version, "rolled out", by=BY, why=said)
    if STABLE not in store.version(kept.version).aliases:
        store.set_alias(kept.version, STABLE, by=BY, note=f"rollout {kept.number}")
    return f"{kept.version} is rolled out, and {STABLE}"


def _facts(kept: KeptRollout, why: str) -> dict[str, Any]:
    return {
        "id": kept.id, "rollout": kept.number, "outcome": kept.state.result, "why": why, "begun_by": kept.begun_by,
        "evidence": None if kept.evidence is None else kept.evidence.as_json(),
        "decisions": [
            {"at": each.at, "where": each.where, "outcome": each.outcome, "sentences": list(each.sentences)}
            for each in kept.state.decisions
        ],
    }  # fmt: skip
