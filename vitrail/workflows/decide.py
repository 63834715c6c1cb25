"""`vitrail decide`: from which probability on is answered what? A new package that obeys."""

from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit
from vitrail.data.checked_files import checked_places
from vitrail.evaluation.answers_file import TABLE
from vitrail.evaluation.answers_table import judged_splits
from vitrail.evaluation.chosen_images import chosen_images
from vitrail.evaluation.deciding import (
    CHOSEN_ON,
    DecisionResult,
    DecisionSettings,
    chosen_decision,
    figures_of_decision,
)
from vitrail.evaluation.group_deciding import GroupDecisionResult, GroupDecisionSettings, chosen_group_thresholds
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.models.package import read_package
from vitrail.models.package_parts import with_part
from vitrail.models.run_package import package_of
from vitrail.pages.progress import sink_or_bars
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.likeness import trained_images
from vitrail.prediction.predictor import load
from vitrail.workflows.check import begin_check


def decide(run: str | Path, *, out: str | Path, **settings: Any) -> DecisionResult:
    """Choose how answers are made of probabilities, on a run's validation answers, and write a package that obeys.

    >>> vitrail.decide("runs/covid", out="covid-screening", sensitivity=0.95)  # doctest: +SKIP

    Args:
        run: of a fit, with its package and its answers; test answers judge the decision and have no say in it.
        out: the new package; must not exist yet. The run's own package is not touched.
        settings: any of `DecisionSettings`' names, e.g. `sensitivity=0.95`, `costs=(10, 1)`, `prevalence=0.01`,
            `least_probability=0.8`, `coverage=0.9`.

    Returns:
        The decision, and what it gives on validation images (which flatter it) and on test images.

    Raises:
        InputError: nothing or too much is asked for, it cannot be achieved, the run has no validation answers, or `out`
            exists.
        PackageError: the run has no package, or it is damaged.
    """
    asked = DecisionSettings.parse(**settings)
    folder = Path(run).expanduser()
    package = read_package(package_of(folder))
    home = folder.parent if package.folder == folder else folder
    judged = judged_splits(home / TABLE)
    if CHOSEN_ON not in judged or judged[CHOSEN_ON].classes != package.classes:
        raise InputError(
            f"{home / TABLE} has no validation answers of this package, on which a decision could be chosen",
            hint="give the run folder of a fit, e.g. runs/NAME",
        )
    decision = chosen_decision(judged[CHOSEN_ON], asked)
    with_part(package, decision, Path(out).expanduser())
    figures = {split: figures_of_decision(judged[split], decision) for split in (CHOSEN_ON, "test") if split in judged}
    return DecisionResult(Path(out), decision, figures)


def decide_by_group(
    package: str | Path,
    data: Any,
    *,
    by_group: str,
    out: str | Path,
    workers: int | None = None,
    device: str = "auto",
    emit: Emit | None = None,
    **settings: Any,
) -> GroupDecisionResult:
    """Choose a threshold for every group of an attribute, so that groups fare alike, and write a package that has them.

    For two classes. The group must be known whenever the thresholds are used; see `GroupThresholds`.

    >>> vitrail.decide_by_group("runs/covid", "val.csv", by_group="sex", out="covid-alike")  # doctest: +SKIP

    Args:
        package: a package, or the run that made it; it is not touched.
        data: labelled images with the attribute, as for `check`. Those that the model was trained on are left out.
        by_group: the attribute.
        out: the new package; must not exist yet.
        workers: processes that read images; None: one per core.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `GroupDecisionSettings`' names, e.g. `equal_rate="said"`.

    Returns:
        The thresholds; gap between groups and accuracy, before and after, with intervals: each image is judged by
        thresholds that other images chose.

    Raises:
        InputError: not two classes, no such attribute, not two groups that are large enough, or `out` exists.
        PackageError: the package is damaged.
    """
    asked = GroupDecisionSettings.parse(by_group=by_group, **settings)
    predictor = load(package_of(Path(package).expanduser()), device=device)
    with sink_or_bars(emit) as emit:
        started = begin_check(data, workers=workers)
        inspection = started.pending.result(emit)
        seen = trained_images(predictor.package)
        images = chosen_images(
            inspection, name=started.images.name, classes=predictor.classes, known=[] if seen is None else [seen]
        )
        answers = gathered_answers(predictor.answers(checked_places(images.rows), workers=started.workers))
    judged = JudgedImages.of_answers(images.rows, answers, measured_on=images.measured_on)
    part, figures, left_out = chosen_group_thresholds(judged, asked)
    with_part(predictor.package, part, Path(out).expanduser())
    return GroupDecisionResult(Path(out), part, figures, left_out)
