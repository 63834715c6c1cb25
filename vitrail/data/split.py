"""Splits that do not move: an image's side depends on its content (or its group) and the seed alone.

Adding images to a data set therefore never carries an old validation image into training, identical files always
stay together, and so do all images of a group. The price is that proportions are met on average, not exactly; a
class that would miss a split is given its nearest images.
"""

from collections import Counter, defaultdict

import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.basics.seeds import uniform_from
from vitrail.basics.settings import Settings
from vitrail.data.columns import in_split


class SplitSettings(Settings):
    """How images without a given split are divided."""

    validation_fraction: float = 0.2
    """Share of the images that is held out for validation, between 0 and 1."""
    test_fraction: float = 0.0
    """Share of the images that is kept for one look at the end, between 0 and 1."""


def split_rows(rows: pa.Table, settings: SplitSettings, *, seed: int = 0) -> pa.Table:
    """Fill the `split` column where it is null, stratified by class and never through a group.

    Rows that have a split keep it, with one exception: where every row has one and none is `val`, validation images
    are taken out of `train`. A group that has a split somewhere keeps it.

    Args:
        rows: an image table with the columns `id`, `label`, `split`, `group`.
        settings: the fractions.
        seed: another seed gives another split.

    Raises:
        InputError: the fractions leave nothing to train on, or nothing is marked `train`.
    """
    given = rows["split"].to_pylist()
    if "val" in given and all(given):
        return _with_splits(rows, given)
    _refuse_fractions(settings)
    if all(given):
        settings = settings.model_copy(update={"test_fraction": 0.0})
    groups, identities = rows["group"].to_pylist(), rows["id"].to_pylist()
    units = [group or identity for group, identity in zip(groups, identities, strict=True)]
    movable = {None, "train"} if all(given) else {None}
    fixed = {unit: split for unit, split in zip(units, given, strict=True) if split not in movable}
    drawn = _draw(
        [unit for unit in units if unit not in fixed], _unit_labels(units, rows["label"].to_pylist()), settings, seed
    )
    splits = [
        split if split not in movable else drawn.get(unit) or split or fixed[unit]
        for split, unit in zip(given, units, strict=True)
    ]
    return _with_splits(rows, splits)


def leaked_ids(rows: pa.Table) -> set[str]:
    """Ids of the images outside `train` that stand in it too, as the same file or as a look-alike."""
    training = in_split(rows, "train")
    known = set(training["id"].to_pylist())
    clusters = set(training["near_duplicate_cluster"].to_pylist()) - {None}
    columns = (rows[name].to_pylist() for name in ("split", "id", "near_duplicate_cluster"))
    return {
        identity
        for split, identity, cluster in zip(*columns, strict=True)
        if split != "train" and (identity in known or cluster in clusters)
    }


def _with_splits(rows: pa.Table, splits: list[str]) -> pa.Table:
    if "train" not in splits:
        raise InputError(
            f"no image is marked for training; the splits are {', '.join(sorted(set(splits)))}",
            hint="give images a train split, or leave the split out and let Vitrail divide them",
        )
    return rows.set_column(rows.column_names.index("split"), "split", pa.array(splits, pa.string()))


def _refuse_fractions(settings: SplitSettings) -> None:
    total = settings.validation_fraction + settings.test_fraction
    if settings.validation_fraction <= 0 or settings.test_fraction < 0 or total >= 1:
        raise InputError(
            f"validation_fraction {settings.validation_fraction} and test_fraction {settings.test_fraction} "
            "leave nothing to train on or nothing to validate on",
            hint="try validation_fraction=0.2 and test_fraction=0",
        )


def _unit_labels(units: list[str], labels: list[str]) -> dict[str, str]:
    """The most frequent label of each unit (ties: the alphabetically first)."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for unit, label in zip(units, labels, strict=True):
        votes[unit][label] += 1
    return {unit: min(votes[unit], key=lambda label: (-votes[unit][label], label)) for unit in votes}


def _draw(units: list[str], label_of: dict[str, str], settings: SplitSettings, seed: int) -> dict[str, str]:
    by_label: dict[str, dict[str, float]] = defaultdict(dict)
    for unit in units:
        by_label[label_of[unit]][unit] = uniform_from(seed, "split", unit)
    decided: dict[str, str] = {}
    for draws in by_label.values():
        decided |= _cut(draws, settings)
    return decided


def _cut(draws: dict[str, float], settings: SplitSettings) -> dict[str, str]:
    """Units below the test fraction are test, the next ones validation, the rest train; none is left empty."""
    test_end = settings.test_fraction
    validation_end = test_end + settings.validation_fraction
    decided = {
        unit: "test" if draw < test_end else "val" if draw < validation_end else "train" for unit, draw in draws.items()
    }
    wanted = ["train", "val"] + (["test"] if settings.test_fraction else [])
    for split in wanted:
        sizes = Counter(decided.values())
        if not sizes[split]:
            # A class of one image is trained on: it cannot be judged either way.
            donors = [unit for unit in decided if sizes[decided[unit]] > 1 or split == "train"]
            if donors:
                middle = {"test": 0.0, "val": (test_end + validation_end) / 2, "train": 1.0}[split]
                decided[min(donors, key=lambda unit: (abs(draws[unit] - middle), unit))] = split
    return decided
