"""`vitrail fit`: from a data set that is being checked to a packaged classifier and a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.devices import chosen_device
from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.seeds import derived_seed
from vitrail.evaluation.quality import Quality
from vitrail.features.feature_pass import FrozenModel
from vitrail.measures.intervals import Measure
from vitrail.models.catalogue import BuiltModel, build_model
from vitrail.models.heads import set_linear_head
from vitrail.workflows.fit_data import drawn_split_findings, preprocessing_for, usable_rows
from vitrail.workflows.fit_features import compute_features
from vitrail.workflows.fit_heads import learn_heads
from vitrail.workflows.fit_outcome import Fitted, pack, report
from vitrail.workflows.fit_settings import DEFAULT_MODEL, FitSettings
from vitrail.workflows.fit_start import StartedFit
from vitrail.workflows.judging import judge_splits


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves behind.

    Attributes:
        run: the run folder.
        package: the folder that `vitrail.load` and timm read.
        report: the page to read.
        quality: the probe's figures by split, each measured on images it was not fitted on.
        neighbours: accuracy of nearest neighbours on the same features, by split.
        seconds: from the start of the fit until everything was on disk.
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


def finish_fit(
    started: StartedFit, settings: FitSettings, *, command: str = "vitrail.fit(...)", emit: Emit = nobody
) -> FitResult:
    """Fit a linear probe on frozen pretrained features, judge it, package it and write the report.

    Args:
        started: a fit whose images are being read while this function builds the model.
        settings: everything that can be chosen.
        command: how the user called it, for the report.
        emit: receives progress.

    Raises:
        FindingsError: the check found something that must be mended first.
        VitrailError: see the parts. Whatever happens, the same call continues where it was.
    """
    watch, workers = started.watch, started.check.workers
    with RunFolder.open(started.out, settings.model_dump(mode="json"), overwrite=started.overwrite) as run:
        built = _built(settings)
        emit(Noted(f"model    {built.architecture}: {built.weights.summary()}"))
        watch.lap("model")
        inspection = started.check.pending.result(emit)
        rows = usable_rows(inspection, settings, emit=emit)
        findings = (*inspection.findings, *drawn_split_findings(inspection, rows, emit=emit))
        preprocessing = preprocessing_for(rows, built.preprocessing, settings, workers=workers)
        watch.lap("check")
        device = chosen_device(settings.pass_.device)
        frozen = FrozenModel(built.model, preprocessing, built.weights_sha256, device)
        features = compute_features(run, frozen, rows, settings.pass_, workers=workers, emit=emit)
        watch.lap("features")
        classes = sorted(set(rows["label"].to_pylist()))
        probe, answers = learn_heads(features.by_split, rows, classes, settings, emit=emit)
        judged = judge_splits(answers, rows, classes, seed=settings.seed)
        watch.lap("probe")
        set_linear_head(built.model, torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
        trained = f"linear probe on frozen features, L2 strength C = {probe.strength:g}"
        decisions = [f"Training features in {features.reason}.", f"{trained}, chosen by cross-validated log loss."]
        fitted = Fitted(started.check.images.name, built, preprocessing, judged, rows, findings, decisions, trained)
        package = pack(fitted, run.cleared("package"), settings)
        watch.lap("package")
        page = report(fitted, run.path, settings, command=command, timings=watch.laps)
        run.finish()
    return FitResult(run.path, package, page, judged.quality, judged.neighbours, watch.total)


def _built(settings: FitSettings) -> BuiltModel:
    """The model; whatever of it is random depends on the seed alone, and torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "weights"))
        return build_model(settings.model)


def gathered(model: str | None, values: dict[str, Any]) -> FitSettings:
    """The settings of a fit from what a caller typed.

    Raises:
        SettingsError: names that do not exist or values that are refused, all of them.
    """
    return FitSettings.gather(name=model or DEFAULT_MODEL, **values)
