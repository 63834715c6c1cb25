"""`vitrail study staged`: is training in stages better than training everything at once? Measured, with the probe."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.files import write_json
from vitrail.basics.finished_work import done_once, work_key
from vitrail.basics.run_folder import RunFolder, RunPart
from vitrail.basics.run_standing import refuse_run
from vitrail.basics.versions import versions
from vitrail.data.split_images import fingerprint
from vitrail.data.usable_images import usable_rows
from vitrail.evaluation.judged_images import headline_split
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.study_figures import gain_over_seeds, judged_arms, mean_figure
from vitrail.evaluation.study_sections import staged_study_sections
from vitrail.features.heads import learn_heads
from vitrail.features.split_features import compute_features
from vitrail.measures.paired import PairedComparison
from vitrail.models.seeded import seeded_classifier
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.training.arm import Arm, trained_arm
from vitrail.training.image_stages import training_weights
from vitrail.workflows.check import begin_check
from vitrail.workflows.fit.preparation import prepare
from vitrail.workflows.fit.settings import FitSettings
from vitrail.workflows.fit.start import start_fit
from vitrail.workflows.study.data_sets import named_data_sets

CLAIM = (0.10, 0.15)
"""What the articles Vitrail grew from say that staged training gains in accuracy over one-shot training."""

ARMS = ("probe", "staged", "one-shot")


@dataclass(frozen=True, repr=False)
class StagedStudy(ShownAsText):
    """What came out, by data set: `arms` (accuracy and AUC by seed), `gain` (staged minus one-shot, in accuracy, each
    image's mean over seeds, bootstrapped over images or groups) and `verdict` on the claim; and the page."""

    by_data: dict[str, dict[str, Any]]
    report: Path

    def lines(self) -> list[str]:
        """The outcome in text."""
        lines = []
        for name, found in self.by_data.items():
            seeds = len(found["arms"]["probe"])
            lines.append(f"{name}: mean of {seeds} seed{'' if seeds == 1 else 's'}, on {found['measured_on']}")
            for arm, value in found["mean_accuracy"].items():
                auc = found["mean_auc"][arm]
                lines.append(f"  {arm:<9} accuracy {100 * value:.1f} %" + ("" if auc is None else f", AUC {auc:.3f}"))
            gain = found["gain"]["difference"]
            span = "" if gain["low"] is None else f" ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
            lines.append(f"  stages gain {100 * gain['value']:+.1f} points{span}, p = {found['gain']['p_value']:.2g}")
            lines.append(f"  the claim of {100 * CLAIM[0]:.0f} to {100 * CLAIM[1]:.0f} points: {found['verdict']}")
        return [*lines, f"report   {self.report}"]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"claim": f"staged beats one-shot by {100 * CLAIM[0]:.0f}-{100 * CLAIM[1]:.0f} %", "data": self.by_data}


def study_staged(
    data: Sequence[Any],
    settings: FitSettings,
    *,
    seeds: int,
    out: Path,
    workers: int | None,
    command: str,
    emit: Emit,
) -> StagedStudy:
    """Train every data set with every seed in stages and at once, and compare both on the same held-out images.

    Both begin with the same pretrained weights and walk equally often through the same images; one-shot training
    begins with a new classifier and trains everything from the first step, with the same learning rates. Each keeps
    its best epoch by validation. What is finished is kept in `out` under what it depends on: the same call continues,
    and other settings or images never get an earlier answer.

    Args:
        data: as for `fit`, one or more.
        settings: of all fits; their stages, or those of the preset, are the staged arm.
        seeds: runs per data set and arm, with seeds 0, 1, …
        out: folder of the study.
        workers: processes that decode.
        command: how the user called it, for the report.
        emit: receives progress.

    Raises:
        InputError: the settings train no stages, two data sets have the same name, or a run stands in `out`.
    """
    refuse_run(out)
    by_data = {}
    for name, source in named_data_sets(data).items():
        inspection = begin_check(source, workers=workers).pending.result(emit)
        rows = usable_rows(inspection, settings.images, settings.split, seed=settings.seed, emit=nobody)
        key = work_key(settings.model_dump(mode="json", exclude={"seed"}), fingerprint(rows))
        results = []
        for seed in range(seeds):
            folder, own = out / name / key / f"seed-{seed}", settings.model_copy(update={"seed": seed})
            emit(Noted(f"study    {name}, seed {seed}"))
            results.append(done_once(
                folder / "result.json", partial(_one_seed, source, own, folder / "run", workers=workers, emit=emit),
                emit=emit,
            ))  # fmt: skip
        by_data[name] = _summary(results)
    study = StagedStudy(by_data, write_report(_report(by_data, settings, command), out))
    write_json(out / "study.json", study.as_json())
    return study


def _report(by_data: dict[str, dict[str, Any]], settings: FitSettings, command: str) -> Report:
    return Report(
        title="Are stages better than training everything at once?",
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        sections=staged_study_sections(by_data, settings.model_dump(mode="json", exclude={"seed"}), claim=CLAIM),
        versions=versions(),
        window_of=" ".join(by_data),
    )


def _one_seed(source: Any, settings: FitSettings, folder: Path, *, workers: int | None, emit: Emit) -> dict[str, Any]:
    """What every arm answered about the held-out images, and how good that is."""
    started = start_fit(source, out=folder, overwrite=True, workers=workers)
    with RunFolder.open(folder, settings.model_dump(mode="json"), overwrite=True) as run:
        emit = run.journaled(emit)
        prepared = prepare(started, settings, emit=emit)
        model, images = prepared.model, prepared.images
        features = compute_features(run, model, images, settings.pass_, emit=emit)
        weights = training_weights(images, settings.training)
        heads = learn_heads(features.by_split, images, settings.probe, seed=settings.seed, emit=emit, weights=weights)
        model.set_head(heads.probe.weight, heads.probe.bias)
        staged = trained_arm(RunPart(run, "staged"), model, images, settings.arm, runtime=features.runtime, emit=emit)
        _refuse_no_stages(staged)
        anew = seeded_classifier(settings.model, settings.seed).seen_through(model.preprocessing, model.device)
        anew.set_zero_head(len(images.classes))
        own = _at_once(settings, staged.epochs).arm
        one_shot = trained_arm(RunPart(run, "one-shot"), anew, images, own, runtime=features.runtime, emit=emit)
        run.finish()
    split = headline_split(heads.logits)
    arms = {"probe": heads.logits[split], "staged": staged.logits[split], "one-shot": one_shot.logits[split]}
    return judged_arms(images, arms, split, seed=settings.seed)


def _at_once(settings: FitSettings, epochs: int) -> FitSettings:
    """The same, but that everything is trained from the first step."""
    training = settings.training.model_copy(update={"stages": ("all",), "all_epochs": epochs, "time": None})
    return settings.model_copy(update={"training": training})


def _refuse_no_stages(arm: Arm) -> None:
    if not arm.plan.stages:
        raise InputError("these settings train no stages: there is nothing to compare", hint="--stages head,top,all")


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures by arm and seed, and the gain of stages."""
    gain = gain_over_seeds(results, "staged", "one-shot")
    return {
        "measured_on": results[0]["measured_on"],
        "arms": {arm: [result["figures"][arm] for result in results] for arm in ARMS},
        "mean_accuracy": {arm: mean_figure(results, arm, "accuracy") for arm in ARMS},
        "mean_auc": {arm: mean_figure(results, arm, "auc") for arm in ARMS},
        "gain": gain.as_json(),
        "verdict": _verdict(gain),
    }


def _verdict(gain: PairedComparison) -> str:
    low, high = gain.difference.low, gain.difference.high
    if low is None or high is None:
        return "not enough evidence"
    if low >= CLAIM[0]:
        return "confirmed"
    return "refuted" if high < CLAIM[0] else "not enough evidence"
