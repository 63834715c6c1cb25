"""`vitrail fit`: from a data set that is being checked to a packaged classifier and a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vitrail.basics.events import Emit, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.evaluation.quality import Quality
from vitrail.measures.intervals import Measure
from vitrail.models.heads import set_linear_head
from vitrail.training.sinks import Watchers
from vitrail.workflows.fit_features import compute_features
from vitrail.workflows.fit_heads import learn_heads, probe_sentence, probe_words, tell_first_figures
from vitrail.workflows.fit_model import ChosenFit
from vitrail.workflows.fit_outcome import Fitted, pack, report
from vitrail.workflows.fit_preparation import prepare, refuse_other_data
from vitrail.workflows.fit_scratch import gain_sentences, gained_by_pretraining
from vitrail.workflows.fit_split import EarlierSplits, keep_split
from vitrail.workflows.fit_start import StartedFit
from vitrail.workflows.fit_tuning import tune
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
        passed_over: files that were not used because of their names, by class and kind; see `ImageTable`.
    """

    run: Path
    package: Path
    report: Path
    quality: dict[str, Quality]
    neighbours: dict[str, Measure]
    seconds: float
    passed_over: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "run": str(self.run),
            "package": str(self.package),
            "report": str(self.report),
            "quality": {split: quality.as_json() for split, quality in self.quality.items()},
            "neighbours": {split: measure.as_json() for split, measure in self.neighbours.items()},
            "passed_over": {label: dict(kinds) for label, kinds in self.passed_over.items()},
            "seconds": round(self.seconds, 2),
        }


def finish_fit(
    started: StartedFit, chosen: ChosenFit, *, command: str = "vitrail.fit(...)", emit: Emit = nobody
) -> FitResult:
    """Fit a linear probe on frozen pretrained features, judge it, package it and write the report.

    Args:
        started: a fit whose images are being read while this function builds the model.
        chosen: everything that can be set, and why this model.
        command: how the user called it, for the report.
        emit: receives progress.

    Raises:
        FindingsError: the check found something that must be mended first.
        VitrailError: see the parts. Whatever happens, the same call continues where it was.
    """
    watch, name, settings = started.watch, started.check.images.name, chosen.settings
    earlier = EarlierSplits.of(started, settings)
    with (
        RunFolder.open(started.out, settings.model_dump(mode="json"), overwrite=started.overwrite) as run,
        Watchers(run.journaled(emit), settings.log, folder=run.path, name=name) as emit,
    ):
        ready = prepare(started, settings, before=earlier.kept, emit=emit)
        refuse_other_data(run, ready, overwrite=started.overwrite)
        moved = keep_split(run, ready, earlier, data=name, emit=emit)
        chosen.tell(run, emit)
        watch.lap("check")
        features = compute_features(run, ready.frozen, ready.images, settings.pass_, emit=emit)
        watch.lap("features")
        probe, answers = learn_heads(features.by_split, ready.images, settings, emit=emit)
        set_linear_head(ready.built.model, torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
        tell_first_figures(answers, ready.images, emit)
        watch.lap("probe")
        tuning = tune(run, ready, settings, probe=answers, runtime=features.runtime, emit=emit)
        watch.lap("training")
        gained = gained_by_pretraining(run, ready, settings, tuning, runtime=features.runtime, emit=emit)
        watch.lap("scratch")
        judged = judge_splits(tuning.answers, ready.images.rows, ready.images.classes, seed=settings.seed)
        told = (
            *chosen.sentences,
            *moved,
            f"Training features in {features.reason}.",
            probe_sentence(probe, settings.probe.folds),
            *tuning.decisions,
            *gain_sentences(gained),
        )
        fitted = Fitted(name, ready, judged, told, tuning.trained or probe_words(probe), tuning.section(gained))
        package = pack(fitted, run.cleared("package"), settings)
        watch.lap("package")
        page = report(fitted, run.path, settings, command=command, timings=watch.laps)
        run.finish()
    passed_over = started.check.images.passed_over
    return FitResult(run.path, package, page, judged.quality, judged.neighbours, watch.total, passed_over)
