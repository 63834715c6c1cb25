"""The second half of a pass: one step of an approved proposal, done so that it may be killed anywhere and done again.

Every step looks what is there already, makes what is missing, and gives the facts that are written with the next state.
Nothing is written before it is made.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vitrail.basics.errors import InputError
from vitrail.basics.files import sha256_of
from vitrail.basics.run_standing import standing_of
from vitrail.monitoring.told_requests import told_requests
from vitrail.rollout.operating.before_after import told_before_after
from vitrail.rollout.operating.material import write_material
from vitrail.rollout.operating.proposals import Proposal, ProposalState
from vitrail.rollout.version_records import Version
from vitrail.traffic.routes_store import RoutesStore
from vitrail.workflows.admit import admit
from vitrail.workflows.decide import decide_by_group
from vitrail.workflows.fit.call import fit
from vitrail.workflows.operate.operation import LOOP, Operation
from vitrail.workflows.operate.settings import fit_settings, held_out_of, mitigation_of
from vitrail.workflows.register import register

MOST_TOLD = 100_000
"""Truths that are looked at for feedback images."""


class Made(NamedTuple):
    """What a step came to.

    Attributes:
        state: the next one.
        by: who did it.
        facts: plain values.
    """

    state: ProposalState
    by: str
    facts: Mapping[str, Any]


def gather(operation: Operation, proposal: Proposal) -> Made:
    """The table that is fitted on; feedback as whoever approved wants it."""
    material = write_material(
        operation.folder(proposal, "-material") / "images.parquet", operation.policy.material,
        _told(operation, proposal), feedback=proposal.uses_feedback,
        attribute=mitigation_of(operation.policy, proposal).attribute,
    )  # fmt: skip
    return Made("gathered", LOOP, material.as_json())


def refit(operation: Operation, proposal: Proposal) -> Made:
    """Fit, or go on with a fit that was interrupted; one that is finished is taken."""
    file, run = Path(proposal.fact("gathered", "file")), operation.folder(proposal)
    if standing_of(run) != "finished":
        if not file.is_file() or sha256_of(file) != proposal.fact("gathered", "sha256"):
            raise InputError(f"{file} is not the table that was gathered", hint="put it back, or decline the proposal")
        model = operation.policy.material.model
        if model == "stable":
            model = f"local-dir:{operation.versions.folder(proposal.version)}"
        fit(
            file, model=model, out=run, workers=operation.workers, emit=operation.emit,
            **fit_settings(operation.policy, proposal),
        )  # fmt: skip
    return Made("fitted", LOOP, {"run": str(run), "sentence": f"Fitted on {proposal.fact('gathered', 'sentence')}"})


def register_fitted(operation: Operation, proposal: Proposal) -> Made:
    """The same package keeps its number, however often it is registered."""
    package, told = _with_thresholds(operation, proposal)
    shown = register(
        package, name=proposal.name, parent=proposal.version, by=LOOP,
        store=operation.policy.store,
    )  # fmt: skip
    version = shown.version
    if version.digest == proposal.digest:
        raise InputError(f"the fit gave the package that stands, {version.id}", hint="name other data, or decline")
    return Made("registered", LOOP, {"version": version.id, **told, "sentence": f"It is {version.id}."})


def _with_thresholds(operation: Operation, proposal: Proposal) -> tuple[Path, dict[str, Any]]:
    """The fitted package; with thresholds by group and what they give, where that is the mitigation."""
    run, chosen = Path(proposal.fact("fitted", "run")), mitigation_of(operation.policy, proposal)
    if chosen.how != "thresholds" or chosen.attribute is None:
        return run, {}
    out = operation.folder(proposal, "-thresholds")
    shutil.rmtree(out, ignore_errors=True)  # of an attempt that was killed: the same is made again
    decided = decide_by_group(
        run, Path(proposal.fact("gathered", "file")), by_group=chosen.attribute, out=out, workers=operation.workers,
        device=str(operation.policy.material.fit.get("device", "auto")), emit=operation.emit,
    )  # fmt: skip
    return out, {"thresholds": decided.as_json()}


def admit_registered(operation: Operation, proposal: Proposal) -> Made:
    """Admission against what is stable; one that is finished is taken."""
    version, run = proposal.fact("registered", "version"), operation.folder(proposal, "-admission")
    if _admitted_in(operation.versions.version(version), run) is None:
        admit(
            version, held_out_of(operation.policy), policy=operation.policy.admission, out=run,
            overwrite=standing_of(run) == "finished", workers=operation.workers, by=LOOP,
            store=operation.policy.store, emit=operation.emit,
        )  # fmt: skip
    admission = _admitted_in(operation.versions.version(version), run)
    if admission is None:
        raise InputError(f"{run} is no admission of {version}", hint="decline the proposal, or remove that folder")
    facts = {name: admission[name] for name in ("outcome", "why", "against")}
    told = told_before_after(run / "report.json")
    return Made(admission["outcome"], LOOP, {**facts, "report": str(run / "report.html"), **told})


def see_signature(operation: Operation, proposal: Proposal) -> Made | None:
    """Somebody's signature; the policy's own where it says so."""
    version = operation.versions.version(proposal.fact("registered", "version"))
    if not version.signatures and "sign" in operation.policy.people.without_a_person:
        note = f"proposal {proposal.number}: admitted, and the policy asks nobody"
        version = operation.versions.sign(version.id, by=f"policy of {proposal.name}", note=note)
    if not version.signatures:
        return None
    last = version.signatures[-1]
    return Made("signed", last.by, {"note": last.facts["note"]})


def begin_rollout(operation: Operation, proposal: Proposal) -> Made:
    """Begin it once: one that was begun since the signature is taken."""
    version = proposal.fact("registered", "version")
    signed = proposal.line_of("signed")
    assert signed is not None
    found = operation.rollouts.find(version, since=signed.at)
    if found is None:
        stable = operation.versions.version(f"{proposal.name}@stable")
        if stable.digest != proposal.digest:
            raise InputError(
                f"{stable.id} is stable by now, and {version} was admitted against {proposal.version}",
                hint=f"vitrail operate decline {proposal.number}, and let the figures of {stable.id} speak",
            )
        found = operation.rollouts.begin(version, by=signed.by)
    return Made("rolling out", LOOP, {"rollout": found.number, "sentence": f"Rollout {found.number} has begun."})


def await_rollout(operation: Operation, proposal: Proposal) -> Made | None:
    """Its end: the new stable, or what stopped it."""
    version, signed = proposal.fact("registered", "version"), proposal.line_of("signed")
    assert signed is not None
    standing = operation.rollouts.find(version, since=signed.at)
    if standing is None or standing.result is None:
        return None
    facts = {"result": standing.result, "sentence": standing.sentence}
    if standing.result != "success":
        return Made("failed", LOOP, facts)
    is_stable = "stable" in operation.versions.version(version).aliases
    return Made("done", LOOP, facts) if is_stable else None  # the store is told a moment after the end


STEPS: Mapping[ProposalState, Callable[[Operation, Proposal], Made | None]] = {
    "approved": gather,
    "gathered": refit,
    "fitted": register_fitted,
    "registered": admit_registered,
    "admitted": see_signature,
    "signed": begin_rollout,
    "rolling out": await_rollout,
}
"""What is done to come from a state to the next; None where somebody or something is waited for."""


def _told(operation: Operation, proposal: Proposal) -> list[Any]:
    """Requests to the version that should be replaced whose truth came."""
    if not proposal.uses_feedback or not operation.policy.material.feedback_images:
        return []
    routes = RoutesStore(operation.database, operation.clock)
    models = {name for name, known in routes.models().items() if known.digest == proposal.digest}
    arms = {arm.name for each in routes.history(500) for arm in each.routes.arms if arm.model in models}
    return told_requests(operation.database, sorted(arms), since=0.0, most=MOST_TOLD)


def _admitted_in(version: Version, run: Path) -> dict[str, Any] | None:
    """What the version's history says of the admission in a run folder."""
    found = [each.facts for each in version.history if each.kind == "admission" and each.facts.get("run") == str(run)]
    is_told = version.state in ("admitted", "rejected")
    return dict(found[-1]) if found and is_told and standing_of(run) == "finished" else None
