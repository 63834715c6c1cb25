"""`vitrail admit`: may a version be rolled out? Judged before anybody is served by it."""

import contextlib
import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitrail.basics.calls import call_text
from vitrail.basics.errors import PackageError
from vitrail.basics.events import Emit
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import refuse_occupied, unused_run_path
from vitrail.evaluation.chosen_images import chosen_images
from vitrail.evaluation.comparison import common_classes
from vitrail.pages.progress import sink_or_bars
from vitrail.prediction.likeness import trained_images
from vitrail.prediction.predictor import Predictor, load
from vitrail.rollout.acting_person import acting_person
from vitrail.rollout.admission.all_gates import judged_gates, refused_gates
from vitrail.rollout.admission.contest import Contest
from vitrail.rollout.admission.entered_contest import Entered, contest_of, entered_versions, loaded_stable
from vitrail.rollout.admission.policy import AdmissionPolicy, asked_policy
from vitrail.rollout.admission.result import AdmissionResult, outcome_of, why_of, write_admission
from vitrail.rollout.version_store import VersionStore, opened_store
from vitrail.workflows.check import StartedCheck, begin_check


def admit(  # noqa: PLR0913 - what is judged, by which bounds, and what is kept of it
    version: str,
    data: Any,
    *,
    against: str = "stable",
    policy: str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    by: str | None = None,
    store: str | Path | None = None,
    command: str | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> AdmissionResult:
    """Judge whether a version may be rolled out: quality, speed and the regression suite; every test gates.

    Args:
        version: the candidate, e.g. `flowers@7`.
        data: labelled images, as for `check`.
        against: what it may replace: an alias or number of the same name, a whole name, or `none`. Where nothing is
            `stable` yet, it is the first of its name, and only floors are asked for.
        policy: a YAML file with bounds; None: the usual ones.
        out: the run folder; None: `runs/NAME-N-admission`. An interrupted admission is continued.
        overwrite: replace a run that stands there.
        workers: processes that read images; None: one per core.
        by: who asks; None: the user of this machine.
        store: as for `register`.
        command: how the admission is described in its report; None: as this call.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `AdmissionPolicy`'s names, e.g. `margin=0.05`; they go before those of the file.

    Returns:
        `admitted` or `rejected`, every test with its figure and bound, and the report. Both are in the version's
        history, too.

    Raises:
        InputError: there is no such version, the data or a bound is not as expected.
        PackageError: the stable version cannot be loaded, or a package was changed in the store.
        SystemFault: disk, permission or memory; the store cannot be reached.
    """
    began, bounds = time.perf_counter(), asked_policy(policy, settings)
    call = command or call_text(admit, version, data, against=against, policy=policy, out=out, **settings)
    with contextlib.closing(opened_store(store, time.time)) as opened, sink_or_bars(emit) as emit:
        entered = entered_versions(opened, version, against)
        usual = f"{entered.candidate.name}-{entered.candidate.number}-admission"
        if out is not None:
            refuse_occupied(Path(out), overwrite=overwrite)
        place, images = Path(out or unused_run_path(usual, parent=Path("runs"))), begin_check(data, workers=workers)
        with RunFolder.open(place, _settings(entered, bounds), overwrite=overwrite) as run:
            result, contest = _judged(run, entered, images, bounds, emit)
            run.cleared("report.html")
            result = replace(result, report=write_admission(result, contest, call))
            _keep(opened, run, result, acting_person(by))
            run.finish()
    return replace(result, seconds=time.perf_counter() - began)


def _settings(entered: Entered, policy: AdmissionPolicy) -> dict[str, Any]:
    stable = None if entered.stable is None else [entered.stable.id, entered.stable.digest]
    candidate = [entered.candidate.id, entered.candidate.digest]
    return {"candidate": candidate, "stable": stable, "policy": policy.model_dump(mode="json")}


def _judged(
    run: RunFolder, entered: Entered, started: StartedCheck, policy: AdmissionPolicy, emit: Emit
) -> tuple[AdmissionResult, Contest | None]:
    """Every test; of a candidate that does not answer, that it does not."""
    stable, contest = loaded_stable(entered, policy), None
    try:
        candidate = load(entered.candidate_folder, device=policy.device)
        contest = _entered_contest(run, entered, (candidate, stable), started, policy, emit)
        gates = judged_gates(run, contest)
    except PackageError as error:
        gates = list(refused_gates(entered.candidate_folder, error))
    against = None if entered.stable is None else entered.stable.id
    outcome = outcome_of(gates, policy)
    return AdmissionResult(entered.candidate.id, against, outcome, gates, policy, run.path, run.path), contest


def _entered_contest(
    run: RunFolder, entered: Entered, both: tuple[Predictor, Predictor | None], started: StartedCheck,
    policy: AdmissionPolicy, emit: Emit,
) -> Contest:  # fmt: skip
    inspection = started.pending.result(emit)
    there = [each for each in both if each is not None]
    known = [each for model in there if (each := trained_images(model.package)) is not None]
    classes = common_classes(there[0].classes, there[-1].classes)
    images = chosen_images(
        inspection, name=started.images.name, classes=classes, split=policy.split, known=known
    )  # fmt: skip
    return contest_of(run, entered, both, images, policy, started.workers, emit)


def _keep(store: VersionStore, run: RunFolder, result: AdmissionResult, by: str) -> None:
    """Into the version's history, once, however often this run was interrupted here."""
    if run.noted("admission") is None:
        run.note("admission", id=secrets.token_hex(8))
    identity = (run.noted("admission") or {})["id"]
    version, why = store.version(result.version), why_of(result.gates, result.policy)
    if all(each.facts.get("id") != identity for each in version.history):
        facts = {
            "id": identity,
            "outcome": result.outcome,
            "why": why,
            **result.as_json(),
            "report": result.report.name,
        }
        store.add(result.version, "admission", by=by, facts=facts)
    if store.version(result.version).state in ("registered", "admitted", "rejected"):
        store.set_state(result.version, result.outcome, by=by, why=why)
