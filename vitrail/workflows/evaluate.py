"""`vitrail evaluate`: a package and labelled images to a report on how far its answers can be believed."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitrail.basics.calls import call_text
from vitrail.basics.errors import ChangedImageError, InputError, UnreadableImageError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import refuse_occupied, unused_run_path
from vitrail.basics.stopwatch import Stopwatch
from vitrail.basics.versions import versions
from vitrail.data.checked_files import checked_places
from vitrail.data.inspection import Finding
from vitrail.data.split_images import fingerprint
from vitrail.evaluation.answers_file import AS_GIVEN, answers_sentence, write_answers
from vitrail.evaluation.answers_table import is_answers_table, judged_of_answers, refuse_table_without_answers
from vitrail.evaluation.chosen_images import chosen_images
from vitrail.evaluation.evaluations import EvaluationSettings, Outcome, evaluated
from vitrail.evaluation.evaluations_report import EvaluationResult, report_sections
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.subject import Subject
from vitrail.pages.progress import sink_or_bars
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.kept_answers import kept_answers
from vitrail.prediction.likeness import trained_images
from vitrail.prediction.predictor import Predictor, load
from vitrail.rollout.versioned_package import package_or_version
from vitrail.workflows.check import StartedCheck, begin_check


def evaluate(
    package: str | Path,
    data: Any = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    command: str | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> EvaluationResult:
    """Judge a package on labelled images, and write a report.

    Args:
        package: a package, the run that made it, or a version (`flowers@7`); or a table of answers (`answers.parquet`
            of any run), which is judged without a model, as far as that goes.
        data: labelled images, as for `check`; for a table of answers nothing, or a table with `id` and attributes.
        out: the run folder; None: `runs/NAME-OF-THE-DATA-evaluated`. An interrupted evaluation is continued.
        overwrite: replace a run that stands there.
        workers: processes that read images; None: one per core.
        command: how the evaluation is described in its report; None: as this call.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `EvaluationSettings`' names, e.g. `evaluations="quality,robustness"`, `split="all"`, `seed=1`.

    Returns:
        The report, its sections, the judged images, and what could not be judged, with the reasons.

    Raises:
        InputError: data, package or settings are not as expected; no image is left to judge.
        PackageError: the package is damaged.
        SystemFault: disk, permission or memory.
    """
    chosen = EvaluationSettings.gather(**settings)
    call = command or call_text(
        evaluate, package, data, out=out, overwrite=overwrite, workers=workers, **settings
    )  # fmt: skip
    watch, package = Stopwatch(), package_or_version(package)
    with sink_or_bars(emit) as emit:
        if out is not None:
            refuse_occupied(Path(out), overwrite=overwrite)
        answered = _OfTable(package, data) if is_answers_table(package) else _of_package(package, data, chosen, workers)
        usual = unused_run_path(f"{answered.name}-evaluated", parent=Path("runs"))
        with RunFolder.open(Path(out or usual), chosen.model_dump(mode="json"), overwrite=overwrite) as run:
            subject, about = answered.by(run, chosen, emit)
            watch.lap("answers")
            return _judged(run, subject, chosen, replace(about, command=call), watch)


@dataclass(frozen=True)
class _About:
    """What a report says beside its figures."""

    name: str
    findings: tuple[Finding, ...]
    told: tuple[str, ...]
    command: str = ""


@dataclass(frozen=True)
class _OfPackage:
    """A package and images that are being read."""

    predictor: Predictor
    started: StartedCheck

    @property
    def name(self) -> str:
        return self.started.images.name

    def by(self, run: RunFolder, settings: EvaluationSettings, emit: Emit) -> tuple[Subject, _About]:
        """The images that are judged, and what the model says of them."""
        predictor, workers = self.predictor, self.started.workers
        inspection = self.started.pending.result(emit)
        known = trained_images(predictor.package)
        images = chosen_images(
            inspection, name=self.name, classes=predictor.classes, split=settings.split, known=[known] if known else ()
        )
        for sentence in images.told:
            emit(Noted(f"images   {sentence}"))
        places = checked_places(images.rows)
        answers = gathered_answers(
            kept_answers(predictor, places, run.work / "answers", workers=workers, emit=run.journaled(emit))
        )
        judged = JudgedImages.of_answers(images.rows, answers, measured_on=images.measured_on)
        about = _About(self.name, inspection.findings, images.told)
        return Subject(judged, predictor, settings.seed, workers, emit), about


def _of_package(package: str | Path, data: Any, settings: EvaluationSettings, workers: int | None) -> _OfPackage:
    refuse_table_without_answers(package)
    if data is None:
        raise InputError("a package is judged on labelled images, and none were named", hint="name them behind it")
    started = begin_check(data, workers=workers)
    return _OfPackage(load(package, device=settings.device, runtime=settings.runtime), started)


@dataclass(frozen=True)
class _OfTable:
    """A table of answers, and what else is known of their images."""

    answers: str | Path
    attributes: Any

    @property
    def name(self) -> str:
        return Path(self.answers).stem

    def by(self, _: RunFolder, settings: EvaluationSettings, emit: Emit) -> tuple[Subject, _About]:
        """What the table says."""
        judged = judged_of_answers(self.answers, attributes=self.attributes, split=settings.split)
        told = f"Judged from a table of answers about {len(judged):,} images; neither model nor images were looked at."
        return Subject(judged, None, settings.seed, 0, emit), _About(self.name, (), (told,))


def _judged(
    run: RunFolder, subject: Subject, settings: EvaluationSettings, about: _About, watch: Stopwatch
) -> EvaluationResult:
    outcome = Outcome()
    try:
        evaluated(subject, settings, outcome)
    except (KeyboardInterrupt, UnreadableImageError, ChangedImageError):  # stopped, or an image went away meanwhile
        _write(run, subject, outcome, about, watch)  # what was finished; the same command does the rest
        raise
    watch.lap("evaluations")
    result = _write(run, subject, outcome, about, watch)
    run.finish()
    return result


def _write(run: RunFolder, subject: Subject, outcome: Outcome, about: _About, watch: Stopwatch) -> EvaluationResult:
    judged = subject.judged
    run.cleared("report.html")
    write_answers({judged.measured_on: judged}, run.path, about=AS_GIVEN)
    sections = report_sections(subject, outcome, about.findings, about.told)
    page = Report(
        title=about.name,
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=about.command,
        sections=sections,
        seed=subject.seed,
        timings=dict(watch.laps),
        versions=versions(),
        beside=[answers_sentence(run.path, AS_GIVEN)],
        window_of=fingerprint(judged.rows),
    )
    by_name = {section.name: section for section in sections}
    return EvaluationResult(
        run.path, write_report(page, run.path), judged, by_name, dict(outcome.not_judged), watch.total
    )  # fmt: skip
