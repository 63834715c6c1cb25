"""`vitrail fit`: from a checked data set to a packaged classifier and a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.stopwatch import Stopwatch
from vitrail.evaluation.quality import Quality
from vitrail.measures.intervals import Measure
from vitrail.models.catalogue import build_model
from vitrail.workflows.check import StartedCheck
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.fit_steps import (
    compute_features,
    fit_heads,
    judge_splits,
    pack,
    usable_rows,
    with_preprocessing,
    write_fit_report,
)


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves behind.

    Attributes:
        run: the run folder.
        package: the folder that `vitrail.load` and timm read.
        report: the page to read.
        quality: the probe's figures by split, each measured on images it was not fitted on.
        neighbours: accuracy of nearest neighbours on the same features, by split.
        seconds: from the start of the command until everything was on disk.
    """

    run: Path
    package: Path
    report: Path
    quality: dict[str, Quality]
    neighbours: dict[str, Measure]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "run": str(self.run),
            "package": str(self.package),
            "report": str(self.report),
            "quality": {split: quality.as_json() for split, quality in self.quality.items()},
            "neighbours": {split: measure.as_json() for split, measure in self.neighbours.items()},
            "seconds": round(self.seconds, 2),
        }


def fit(
    started: StartedCheck,
    settings: FitSettings,
    *,
    out: Path,
    overwrite: bool = False,
    command: str = "",
    emit: Emit = nobody,
) -> FitResult:
    """Fit a linear probe on frozen pretrained features, judge it, package it and write the report.

    Args:
        started: a check that is under way; its images are read while this function builds the model.
        settings: everything that can be chosen.
        out: the run folder.
        overwrite: replace a run that stands there.
        command: how the user called it, for the report.
        emit: receives progress.

    Raises:
        FindingsError: the check found something that must be mended first.
        VitrailError: see the parts; whatever happens, the run folder can be continued by the same call.
    """
    watch = Stopwatch()
    with RunFolder.open(out, settings.model_dump(mode="json"), overwrite=overwrite) as run:
        built = build_model(settings.model)
        emit(Noted(f"model    {built.weights.summary()}"))
        watch.lap("model")
        inspection = started.pending.result(emit)
        rows = usable_rows(started, inspection, settings, emit)
        watch.lap("check")
        frozen = with_preprocessing(built, rows, settings)
        features = compute_features(run, frozen, rows, settings, workers=started.workers, emit=emit)
        watch.lap("features")
        heads = fit_heads(features, rows, settings)
        judged = judge_splits(heads, features, rows, settings, leaked=inspection.leaked_ids)
        watch.lap("probe")
        package = pack(run.path / "package", built, frozen, heads, judged, rows)
        watch.lap("package")
        report = write_fit_report(...)
        run.finish()
    return FitResult(run.path, package, report, judged.quality, judged.neighbours, watch.total)
