"""`vitrail study starter`: what are the starter weights worth on your images, against the same network from nothing?"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vitrail.basics.events import Emit, Noted, WorkAdvanced, WorkEnded, WorkStarted, nobody
from vitrail.basics.files import explained_os_errors
from vitrail.basics.locks import locked, remove_if_unused
from vitrail.basics.run_standing import refuse_run
from vitrail.data.columns import in_split, labels_of
from vitrail.data.inspection.value_range import measured_tone
from vitrail.evaluation.report import HEADLINE_ORDER
from vitrail.evaluation.study_report import StudyReport, write_study_report
from vitrail.workflows.check import begin_check
from vitrail.workflows.fit_data import FitImages, fingerprint, usable_rows
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.study_results import gain_over_seeds, judged_arms, kept, key_of, mean_figure, named
from vitrail.workflows.study_starter_runs import (
    MIMETIC,
    REFERENCE,
    SCRATCH,
    STARTER,
    Pictures,
    begun,
    divided,
    few,
    read_pictures,
    trained_logits,
)
from vitrail.workflows.study_starter_settings import StarterStudySettings

WORK = "study"

FIGURES = {"accuracy": ("accuracy", "{:+.1f}", 100, " points"), "auc": ("AUC", "{:+.3f}", 1, "")}
"""In which figures arms are compared, and how a difference is told: name, format, scale, unit."""


@dataclass(frozen=True)
class StarterStudy:
    """What came out.

    Attributes:
        by_data: per data set `arms` (accuracy and AUC by seed), `mean_accuracy`, `mean_auc`, `rates`, and `gains`: of
            the starter over every other arm, in `accuracy` and in `auc` (None where a seed has none), the mean over
            the seeds, with its interval, `decision` and how many `seeds_won`.
        report: the page.
    """

    by_data: dict[str, dict[str, Any]]
    report: Path

    def lines(self) -> list[str]:
        """The outcome as text."""
        return [line for name, found in self.by_data.items() for line in _lines(name, found)]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"data": self.by_data, "report": str(self.report)}


def study_starter(
    data: Sequence[Any], settings: StarterStudySettings, *, out: Path, workers: int | None, command: str, emit: Emit
) -> StarterStudy:
    """Train the same network whole from the starter weights, from mimetic ones and from timm's own, and compare.

    Every arm walks equally often through the same training images and is judged by its last weights, so that no image
    that judges has chosen anything. Each finished run is kept in `out` under what it depends on; the
    same call continues after anything, and more seeds or data sets add to it.

    Args:
        data: as for `fit`, one or more.
        settings: the budget, the same for all arms.
        out: folder of the study.
        workers: processes that decode.
        command: how the user called it, for the report.
        emit: receives progress.

    Raises:
        FindingsError: images could not be read, or the check found what must be mended first.
        InputError: there is no such data or model, or too few images for what was asked.
    """
    refuse_run(out)
    sets = named(data)
    arms = (STARTER, MIMETIC, SCRATCH, *((REFERENCE,) if settings.reference else ()))
    each = len(arms) * (settings.seeds + (len(settings.rates) if len(settings.rates) > 1 else 0))
    with explained_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out, thing="study"), contextlib.ExitStack() as ending:
        ending.callback(remove_if_unused, out)
        emit(WorkStarted(WORK, each * len(data), "runs"))
        by_data = {}
        for name, source in sets.items():
            by_data[name] = _one_set(source, arms, settings, folder=out / name, workers=workers, emit=emit)
        emit(WorkEnded(WORK))
        page = write_study_report(StudyReport.of(by_data, settings.model_dump(mode="json"), command), out)
    return StarterStudy(by_data, page)


def _one_set(
    source: Any, arms: tuple[str, ...], settings: StarterStudySettings, *, folder: Path, workers: int | None, emit: Emit
) -> dict[str, Any]:
    started = begin_check(source, workers=workers)
    inspection = started.pending.result(emit)
    chosen = FitSettings.gather(name=settings.model, on_bad_image=settings.on_bad_image)
    by_seed = [
        usable_rows(inspection, chosen.model_copy(update={"seed": seed}), emit=nobody if seed else emit)
        for seed in range(settings.seeds)
    ]
    classes = len(set(by_seed[0]["label"].to_pylist()))
    tone = measured_tone(in_split(by_seed[0], "train"))
    shown = begun(STARTER, settings, classes=classes, seed=0).preprocessing.model_copy(update={"tone": tone})
    pictures = read_pictures(by_seed[0], shown, workers=started.workers)
    study = _Set(pictures, settings, folder / _key(arms, settings, by_seed[0]), emit)
    rates = {arm: study.rate(arm, few(by_seed[0], settings, seed=0)) for arm in arms}
    results = []
    for seed, rows in enumerate(by_seed):
        images = FitImages(rows, study.pictures.classes, started.workers)
        runs = [study.run(arm, images, rate=rates[arm], seed=seed) for arm in arms]
        results.append({**runs[0], **{part: _merged(runs, part) for part in ("figures", "by_image")}})
    return summarised(results, arms, rates, few(by_seed[0], settings, seed=0).num_rows)


def _key(arms: tuple[str, ...], settings: StarterStudySettings, rows: pa.Table) -> str:
    weights = [begun(arm, settings, classes=2, seed=0).weights_sha256 for arm in arms if arm in (STARTER, REFERENCE)]
    return key_of(settings.model_dump(mode="json", exclude={"seeds"}), weights, fingerprint(rows))


@dataclass(frozen=True)
class _Set:
    """The runs on one data set; each is kept when it is finished."""

    pictures: Pictures
    settings: StarterStudySettings
    folder: Path
    emit: Emit

    def rate(self, arm: str, training: Any) -> float:
        """The learning rate of an arm: the only one, or the one that answers best about a fifth of the training."""
        if len(self.settings.rates) == 1:
            return self.settings.rates[0]
        rows = divided(training)
        tried = {
            rate: kept(self.folder / f"rate-{rate:g}-{arm}.json", partial(self._tried, arm, rows, rate), emit=self.emit)
            for rate in self._counted(self.settings.rates)
        }
        return max(tried, key=lambda rate: tried[rate]["accuracy"])

    def run(self, arm: str, images: FitImages, *, rate: float, seed: int) -> dict[str, Any]:
        """What the arm answered about the held-out images of this seed's split."""
        (found,) = self._counted([kept(
            self.folder / f"seed-{seed}-{arm}.json", partial(self._judged, arm, images, rate=rate, seed=seed),
            emit=self.emit,
        )])  # fmt: skip
        return found

    def _counted(self, items: Sequence[Any]) -> Any:
        for item in items:
            yield item
            self.emit(WorkAdvanced(WORK))

    def _tried(self, arm: str, rows: tuple[Any, Any], rate: float) -> dict[str, Any]:
        built = begun(arm, self.settings, classes=len(self.pictures.classes), seed=0)
        logits = trained_logits(built, self.pictures, rows, self.settings, rate=rate, seed=0, emit=self.emit)
        right = logits.argmax(axis=1) == labels_of(rows[1], self.pictures.classes)
        self.emit(Noted(f"rate     {arm} at {rate:g}: {100 * right.mean():.1f} % of {len(right)} training images"))
        return {"accuracy": float(np.mean(right))}

    def _judged(self, arm: str, images: FitImages, *, rate: float, seed: int) -> dict[str, Any]:
        split = next(split for split in HEADLINE_ORDER if in_split(images.rows, split).num_rows)
        rows = few(images.rows, self.settings, seed=seed), in_split(images.rows, split)
        built = begun(arm, self.settings, classes=len(images.classes), seed=seed)
        logits = trained_logits(built, self.pictures, rows, self.settings, rate=rate, seed=seed, emit=self.emit)
        found = judged_arms(images, {arm: logits}, split, seed=seed)
        accuracy = found["figures"][arm]["accuracy"]["value"]
        self.emit(Noted(f"run      {self.folder.parent.name}, seed {seed}, {arm}: {100 * accuracy:.1f} %"))
        return found


def _merged(runs: list[dict[str, Any]], part: str) -> dict[str, Any]:
    return {arm: value for run in runs for arm, value in run[part].items()}


def summarised(
    results: list[dict[str, Any]], arms: tuple[str, ...], rates: dict[str, float], images: int
) -> dict[str, Any]:
    """What the runs of a data set say together: figures by arm, their means, and what the starter gains.

    Args:
        results: of `judged_arms`, by seed.
        arms: in the order in which they are shown, the starter among them.
        rates: learning rate of each.
        images: that a run was trained on.
    """
    others = [arm for arm in arms if arm != STARTER]
    gains = {other: {figure: _gain(results, other, figure) for figure in FIGURES} for other in others}
    return {
        "measured_on": results[0]["measured_on"],
        "training_images": images,
        "judged_images": len({identity for result in results for identity in result["ids"]}),
        "rates": rates,
        "arms": {arm: [result["figures"][arm] for result in results] for arm in arms},
        "mean_accuracy": {arm: mean_figure(results, arm, "accuracy") for arm in arms},
        "mean_auc": {arm: mean_figure(results, arm, "auc") for arm in arms},
        "gains": gains,
    }


def _gain(results: list[dict[str, Any]], other: str, figure: str) -> dict[str, Any] | None:
    pairs = [[result["figures"][arm][figure]["value"] for arm in (STARTER, other)] for result in results]
    if any(None in pair for pair in pairs):
        return None
    won = sum(mine > theirs for mine, theirs in pairs)
    return {**gain_over_seeds(results, STARTER, other, figure).as_json(), "seeds_won": won}


def _lines(name: str, found: dict[str, Any]) -> list[str]:
    seeds = len(found["arms"][STARTER])
    lines = [
        f"{name}: mean of {seeds} seed{'' if seeds == 1 else 's'}, {found['training_images']:,} training images, "
        f"judged on {found['judged_images']:,} ({found['measured_on']})"
    ]
    for arm, value in found["mean_accuracy"].items():
        auc = found["mean_auc"][arm]
        told = "" if auc is None else f", AUC {auc:.3f}"
        lines.append(f"  {arm:<9} accuracy {100 * value:.1f} %{told}   rate {found['rates'][arm]:g}")
    for other, gains in found["gains"].items():
        words = [gain_words(figure, gain, seeds) for figure, gain in gains.items() if gain is not None]
        heads = [f"starter against {other}:", *[""] * len(words)]
        lines += [f"  {head:<27} {said}" for head, said in zip(heads, words, strict=False)]
    return lines


def gain_words(figure: str, gain: dict[str, Any], seeds: int) -> str:
    """What the starter gains over another arm in one figure, in a line."""
    name, shown, scale, unit = FIGURES[figure]
    difference = gain["difference"]
    value, *limits = (None if end is None else shown.format(scale * end) for end in
                      (difference["value"], difference["low"], difference["high"]))  # fmt: skip
    span = "" if None in limits else f" ({limits[0]} to {limits[1]})"
    ahead = f"ahead in {gain['seeds_won']} of {seeds} seeds"
    return f"{name} {value}{unit}{span}, p = {gain['p_value']:.2g}, {gain['decision']}; {ahead}"
