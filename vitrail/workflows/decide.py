"""`vitrail decide`: from which probability on is answered what? A new package that obeys."""

from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.evaluation.answers_file import TABLE
from vitrail.evaluation.answers_table import judged_splits
from vitrail.evaluation.deciding import (
    CHOSEN_ON,
    DecisionResult,
    DecisionSettings,
    chosen_decision,
    figures_of_decision,
)
from vitrail.models.package import read_package
from vitrail.models.package_parts import with_part
from vitrail.models.run_package import package_of


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
