"""`vitrail compare`: two models on the same images, which is better, and whether one may replace the other."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.calls import call_text
from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import refuse_occupied, unused_run_path
from vitrail.basics.versions import versions
from vitrail.data.checked_files import checked_places
from vitrail.data.split_images import fingerprint
from vitrail.evaluation.answers_table import is_answers_table, judged_of_answers, refuse_table_without_answers
from vitrail.evaluation.chosen_images import ChosenImages, chosen_images
from vitrail.evaluation.comparison import Candidate, ComparisonSettings, common_classes, comparison_section
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.section import Section
from vitrail.pages.progress import sink_or_bars
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.kept_answers import kept_answers
from vitrail.prediction.likeness import trained_count, trained_images
from vitrail.prediction.predictor import Predictor, load
from vitrail.rollout.versioned_package import package_or_version
from vitrail.workflows.check import begin_check


@dataclass(frozen=True, repr=False)
class ComparisonResult(ShownAsText):
    """What a comparison gives.

    Attributes:
        run: the run folder.
        report: the page to read; `report.json` beside it holds the same numbers.
        section: the figures and sentences.
        seconds: from the call until everything was on disk.
    """

    run: Path
    report: Path
    section: Section
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "run": str(self.run),
            "report": str(self.report),
            "comparison": self.section.as_json(),
            "seconds": round(self.seconds, 2),
        }

    def lines(self) -> list[str]:
        """The verdicts, and where the report is."""
        told = [each.text for each in self.section.sentences]
        return [*told, "", f"report   {self.report}", f"time     {self.seconds:.1f} s"]


def compare(  # noqa: PLR0913 - two models where other recipes have one
    a: str | Path,
    b: str | Path,
    data: Any = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    command: str | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> ComparisonResult:
    """Compare two models on the same labelled images, image by image, and write a report.

    Args:
        a: a package, a run that made one, a version (`flowers@stable`), or a table of answers (`answers.parquet`): the
            model that is there.
        b: likewise: the one that may take its place.
        data: labelled images, as for `check`; where `a` and `b` are tables of answers nothing, or a table with `id` and
            attributes.
        out: the run folder; None: `runs/NAME-compared`. An interrupted comparison is continued.
        overwrite: replace a run that stands there.
        workers: processes that read images; None: one per core.
        command: how the comparison is described in its report; None: as this call.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `ComparisonSettings`' names, e.g. `margin=0.01`, `attributes="sex"`.

    Returns:
        Verdicts, figures and the report; `print` shows them.

    Raises:
        InputError: what was given is not as expected, or no image is common to both.
        PackageError: a package is damaged.
        SystemFault: disk, permission or memory.
    """
    started = time.perf_counter()
    chosen = ComparisonSettings.parse(**settings)
    call = command or call_text(compare, a, b, data, out=out, overwrite=overwrite, workers=workers, **settings)
    a, b = package_or_version(a), package_or_version(b)
    with sink_or_bars(emit) as emit:
        if out is not None:
            refuse_occupied(Path(out), overwrite=overwrite)
        tables = [is_answers_table(each) for each in (a, b)]
        for each, is_table in zip((a, b), tables, strict=True):
            if not is_table:
                refuse_table_without_answers(each)
        _refuse_without_data(data, tables)
        name = Path(str(a)).stem if data is None else _name_of(data)
        place = Path(out or unused_run_path(f"{name}-compared", parent=Path("runs")))
        with RunFolder.open(place, chosen.model_dump(mode="json"), overwrite=overwrite) as run:
            both = _candidates(run, (a, b), data, chosen, workers, emit)
            section = comparison_section(*both, chosen)
            page = _write(run, section, f"{Path(str(a)).name} and {Path(str(b)).name}", call, both, chosen.seed)
            run.finish()
    return ComparisonResult(place, page, section, time.perf_counter() - started)


def _name_of(data: Any) -> str:
    """What the run is called after."""
    return (Path(str(data)).stem if isinstance(data, str | Path) else "images") or "images"


def _refuse_without_data(data: Any, tables: list[bool]) -> None:
    if data is None and not all(tables):
        raise InputError("no images were given to compare the models on", hint="vitrail compare A B DATA")


def _candidates(
    run: RunFolder, models: tuple[str | Path, str | Path], data: Any, settings: ComparisonSettings,
    workers: int | None, emit: Emit,
) -> tuple[Candidate, Candidate]:  # fmt: skip
    """What both models say; of packages, about the same images."""
    loaded: dict[str, Predictor] = {
        letter: load(model, device=settings.device)
        for letter, model in zip("AB", models, strict=True)
        if not is_answers_table(model)
    }
    images, processes = None, 0
    if loaded:
        checking = begin_check(data, workers=workers)
        processes, inspection = checking.workers, checking.pending.result(emit)
        known = [each.classes for each in loaded.values()]
        classes = common_classes(known[0], known[-1])
        seen = [each for model in loaded.values() if (each := trained_images(model.package)) is not None]
        images = chosen_images(inspection, name=checking.images.name, classes=classes, split=settings.split, known=seen)
        for sentence in images.told:
            emit(Noted(f"images   {sentence}"))
    found = []
    for letter, model in zip("AB", models, strict=True):
        name = f"{letter}: {Path(str(model)).name}"
        if letter in loaded and images is not None:
            found.append(_answered(run, letter, name, loaded[letter], images, processes, emit))
        else:
            attributes = data if not loaded else None  # of tables alone; packages were given the images
            found.append(Candidate(name, judged_of_answers(model, split=settings.split, attributes=attributes)))
    return found[0], found[1]


def _answered(
    run: RunFolder, letter: str, name: str, predictor: Predictor, images: ChosenImages, workers: int, emit: Emit
) -> Candidate:
    folder, begun = run.work / f"answers-{letter}", time.perf_counter()
    resumed = folder.exists()
    parts = kept_answers(
        predictor, checked_places(images.rows), folder, workers=workers, emit=run.journaled(emit),
        work=f"answers of {letter}",
    )  # fmt: skip
    judged = JudgedImages.of_answers(images.rows, gathered_answers(parts), measured_on=images.measured_on)
    speed = None if resumed else len(judged) / (time.perf_counter() - begun)
    tone, known = predictor.preprocessing.tone, trained_count(predictor.package, judged.ids)
    return Candidate(name, judged, speed, tone, known)


def _write(
    run: RunFolder, section: Section, title: str, command: str, both: tuple[Candidate, Candidate], seed: int
) -> Path:
    run.cleared("report.html")
    page = Report(
        title=title,
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        sections=[section],
        seed=seed,
        versions=versions(),
        window_of=fingerprint(both[0].judged.rows),
    )
    return write_report(page, run.path)
