"""`vitrail watch`: are these images like those that a model knows? And the reference of a package that has none."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitrail.basics.calls import call_text
from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import refuse_occupied, unused_run_path
from vitrail.basics.stopwatch import Stopwatch
from vitrail.basics.versions import versions
from vitrail.data.checked_files import checked_places
from vitrail.data.given_files import given_files
from vitrail.evaluation.chosen_images import chosen_images
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.reference_of_images import reference_of_images
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.watched import WatchResult, WatchSettings, refuse_unread, watched_result
from vitrail.models.package_parts import with_part
from vitrail.pages.progress import sink_or_bars
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.kept_answers import kept_answers
from vitrail.prediction.likeness import trained_images
from vitrail.prediction.predictor import load
from vitrail.prediction.shift_stream import keep_stream, read_stream
from vitrail.prediction.watched_images import WatchedImages
from vitrail.rollout.versioned_package import package_or_version
from vitrail.workflows.check import begin_check


def watch(
    package: str | Path,
    images: Any,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    command: str | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> WatchResult:
    """Say whether images, as a whole and one by one, are like those that a package was trained and checked on.

    Args:
        package: a package, the run that made it, or a version (`flowers@stable`).
        images: files, folders or patterns; no labels are needed.
        out: the run folder; None: `runs/NAME-OF-THE-IMAGES-watched`. An interrupted run is continued.
        overwrite: replace a run that stands there.
        workers: processes that read images; None: one per core.
        command: how the run is described in its report; None: as this call.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `WatchSettings`' names, e.g. `stream="ward.json"`, `shift_level=0.01`.

    Returns:
        The verdict with p-value and effect, the share of unusual images and which they are, and the report.

    Raises:
        PackageError: the package is damaged, or does not say what the images are like that it knows (see
            `with_reference`).
        InputError: an image's path does not exist, none could be read, or the state of the stream is of another
            package.
        SystemFault: disk, permission or memory.
    """
    chosen = WatchSettings.gather(**settings)
    call = command or call_text(
        watch, package, images, out=out, overwrite=overwrite, workers=workers, **settings
    )  # fmt: skip
    clock = Stopwatch()
    with sink_or_bars(emit) as emit:
        if out is not None:
            refuse_occupied(Path(out), overwrite=overwrite)
        files, predictor = given_files(images), load(package_or_version(package), device=chosen.device)
        watched = WatchedImages.by(predictor.needed_reference(), chosen.shift, trained_images(predictor.package))
        stream = None if chosen.stream is None else read_stream(chosen.stream, predictor)
        usual = unused_run_path(f"{files.name}-watched", parent=Path("runs"))
        with RunFolder.open(Path(out or usual), chosen.model_dump(mode="json"), overwrite=overwrite) as run:
            kept, listening = run.work / "answers", run.journaled(emit)
            for part in kept_answers(predictor, files.places, kept, workers=workers, emit=listening):
                watched.add(part)
            clock.lap("answers")
            refuse_unread(watched)
            after = None if stream is None else stream.after(watched.ids, watched.distances)
            result = watched_result(run.path, watched, files, predictor, after=after)
            write_report(_report(result, call, clock), run.path)
            keep_stream(after, chosen.stream)
            run.finish()
    return replace(result, seconds=clock.total)


def _report(result: WatchResult, command: str, clock: Stopwatch) -> Report:
    return Report(
        title=result.name,
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        sections=[result.section],
        timings=dict(clock.laps),
        versions=versions(),
        window_of=result.name,
    )


def with_reference(
    package: str | Path,
    data: Any,
    folder: str | Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    emit: Emit | None = None,
) -> Path:
    """Write a new package that knows what its images are like, from labelled images; the old one is not touched.

    Held-out images are needed: such that the model was not trained on. Where the package knows its training images
    (part `seen`), those in `data` tell what classes look like, and the others what is usual; otherwise half of the
    images each.

    Args:
        package: a package, or the run that made it.
        data: labelled images, as for `check`, of the classes of the package.
        folder: the new package; must not exist yet.
        device: where the model is run.
        workers: processes that read images; None: one per core.
        emit: receives progress events.

    Returns:
        The new package.

    Raises:
        InputError: too few images, or the folder exists.
        PackageError: the package is damaged.
    """
    with sink_or_bars(emit) as emit:
        started = begin_check(data, workers=workers)
        predictor = load(package, device=device)
        inspection = started.pending.result(emit)
        images = chosen_images(inspection, name=started.images.name, classes=predictor.classes, split="all")
        places = checked_places(images.rows)
        answers = gathered_answers(predictor.answers(places, workers=started.workers))
        judged = JudgedImages.of_answers(images.rows, answers, measured_on=images.measured_on)
        reference = reference_of_images(predictor, judged)
        with_part(predictor.package, reference, Path(folder))
        emit(Noted(f"package  {folder}"))
    return Path(folder)
