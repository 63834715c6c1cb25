"""`vitrail study starter`: what are the starter weights worth on your images, against the same network from nothing?"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, Noted, WorkAdvanced, WorkEnded, WorkStarted, nobody
from vitrail.basics.files import explained_os_errors
from vitrail.basics.finished_work import done_once, work_key
from vitrail.basics.locks import locked, remove_if_unused
from vitrail.basics.run_standing import refuse_run
from vitrail.basics.versions import versions
from vitrail.data.adapted_preprocessing import adapted_preprocessing
from vitrail.data.columns import in_split, labels_of
from vitrail.data.image_settings import ImageSettings
from vitrail.data.pictures_in_memory import PicturesInMemory, read_pictures
from vitrail.data.split import SplitSettings
from vitrail.data.split_images import SplitImages, fingerprint
from vitrail.data.training_subsets import divided_for_rates, drawn_training_rows
from vitrail.data.usable_images import usable_rows
from vitrail.evaluation.judged_images import headline_split
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.study_figures import gain_over_seeds, judged_arms, mean_figure
from vitrail.evaluation.study_sections import starter_study_sections
from vitrail.models.beginnings import MIMETIC, REFERENCE, SCRATCH, beginning_of
from vitrail.models.ready import ReadyModel
from vitrail.models.sources import STARTER
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.training.memory_training import trained_logits
from vitrail.workflows.check import begin_check
from vitrail.workflows.study.data_sets import named_data_sets
from vitrail.workflows.study.starter_settings import StarterStudySettings

WORK = "study"

FIGURES = {"accuracy": ("accuracy", "{:+.1f}", 100, " points"), "auc": ("AUC", "{:+.3f}", 1, "")}
"""In which figures arms are compared, and how a difference is told: name, format, scale, unit."""


@dataclass(frozen=True, repr=False)
class StarterStudy(ShownAsText):
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
        figures = [line for name, found in self.by_data.items() for line in _lines(name, found)]
        return [*figures, f"report   {self.report}"]

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
    sets = named_data_sets(data)
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
        page = write_report(_report(by_data, settings, command), out)
    return StarterStudy(by_data, page)


def _report(by_data: dict[str, dict[str, Any]], settings: StarterStudySettings, command: str) -> Report:
    return Report(
        title="What the starter weights are worth",
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        sections=starter_study_sections(by_data, settings.model_dump(mode="json")),
        versions=versions(),
        window_of=" ".join(by_data),
    )


def _one_set(
    source: Any, arms: tuple[str, ...], settings: StarterStudySettings, *, folder: Path, workers: int | None, emit: Emit
) -> dict[str, Any]:
    started = begin_check(source, workers=workers)
    inspection = started.pending.result(emit)
    use, split = ImageSettings(on_bad_image=settings.on_bad_image), SplitSettings()
    by_seed = [
        usable_rows(inspection, use, split, seed=seed, emit=nobody if seed else emit) for seed in range(settings.seeds)
    ]
    first = SplitImages.of(by_seed[0], workers=started.workers)
    weights_own = _begun(STARTER, settings, classes=len(first.classes), seed=0).preprocessing
    shown = adapted_preprocessing(weights_own, first.rows, use, workers=started.workers)
    pictures = read_pictures(first.rows, shown, workers=started.workers)
    study = _Set(pictures, settings, folder / _key(arms, settings, fingerprint(first.rows)), emit)
    rates = {arm: study.rate(arm, _drawn(first, settings, seed=0)) for arm in arms}
    results = []
    for seed, rows in enumerate(by_seed):
        images = SplitImages(rows, first.classes, started.workers)
        runs = [study.run(arm, images, rate=rates[arm], seed=seed) for arm in arms]
        results.append({**runs[0], **{part: _merged(runs, part) for part in ("figures", "by_image")}})
    return summarised(results, arms, rates, _drawn(first, settings, seed=0).num_rows)


def _begun(arm: str, settings: StarterStudySettings, *, classes: int, seed: int) -> ReadyModel:
    size, reference = settings.image_size, settings.reference
    return beginning_of(arm, settings.model, reference=reference, image_size=size, classes=classes, seed=seed)


def _drawn(images: SplitImages, settings: StarterStudySettings, *, seed: int) -> Any:
    return drawn_training_rows(images.rows, count=settings.train, per_class=settings.labels_per_class, seed=seed)


def _key(arms: tuple[str, ...], settings: StarterStudySettings, images: str) -> str:
    weights = [_begun(arm, settings, classes=2, seed=0).weights_sha256 for arm in arms if arm in (STARTER, REFERENCE)]
    return work_key(settings.model_dump(mode="json", exclude={"seeds"}), weights, images)


@dataclass(frozen=True)
class _Set:
    """The runs on one data set; each is kept when it is finished."""

    pictures: PicturesInMemory
    settings: StarterStudySettings
    folder: Path
    emit: Emit

    def rate(self, arm: str, training: Any) -> float:
        """The learning rate of an arm: the only one, or the one that answers best about a fifth of the training."""
        if len(self.settings.rates) == 1:
            return self.settings.rates[0]
        rows = divided_for_rates(training)
        tried = {
            rate: self._kept(f"rate-{rate:g}-{arm}", partial(self._tried, arm, rows, rate))
            for rate in self.settings.rates
        }
        return max(tried, key=lambda rate: tried[rate]["accuracy"])

    def run(self, arm: str, images: SplitImages, *, rate: float, seed: int) -> dict[str, Any]:
        """What the arm answered about the held-out images of this seed's split."""
        return self._kept(f"seed-{seed}-{arm}", partial(self._judged, arm, images, rate=rate, seed=seed))

    def _kept(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        found = done_once(self.folder / f"{name}.json", work, emit=self.emit)
        self.emit(WorkAdvanced(WORK))
        return found

    def _tried(self, arm: str, rows: tuple[Any, Any], rate: float) -> dict[str, Any]:
        logits = self._logits(arm, rows, rate=rate, seed=0)
        right = logits.argmax(axis=1) == labels_of(rows[1], self.pictures.classes)
        self.emit(Noted(f"rate     {arm} at {rate:g}: {100 * right.mean():.1f} % of {len(right)} training images"))
        return {"accuracy": float(right.mean())}

    def _judged(self, arm: str, images: SplitImages, *, rate: float, seed: int) -> dict[str, Any]:
        split = headline_split([split for split in ("test", "val") if images.count(split)])
        rows = _drawn(images, self.settings, seed=seed), in_split(images.rows, split)
        logits = self._logits(arm, rows, rate=rate, seed=seed)
        found = judged_arms(images, {arm: logits}, split, seed=seed)
        accuracy = found["figures"][arm]["accuracy"]["value"]
        self.emit(Noted(f"run      {self.folder.parent.name}, seed {seed}, {arm}: {100 * accuracy:.1f} %"))
        return found

    def _logits(self, arm: str, rows: tuple[Any, Any], *, rate: float, seed: int) -> Any:
        model = _begun(arm, self.settings, classes=len(self.pictures.classes), seed=seed)
        return trained_logits(model, self.pictures, rows, self.settings.training(rate), seed=seed, emit=self.emit)


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
