"""Which images are trained on and which are held out.

The sides of images without a given split are drawn (`split_draw`); those of an earlier run can be kept
(`split_memory`).
"""

import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.data.columns import in_split
from vitrail.data.split_draw import drawn_sides
from vitrail.data.split_memory import SplitMemory


class SplitSettings(Settings):
    """How images without a given split are divided."""

    validation_fraction: float = 0.2
    """Share of the images that is held out for validation, between 0 and 1."""
    test_fraction: float = 0.0
    """Share of the images that is kept for one look at the end, between 0 and 1."""
    splits_of: str | None = None
    """An earlier run's folder: images and groups that were in it stay on their side, and only new ones are drawn."""


def split_rows(
    rows: pa.Table, settings: SplitSettings, *, seed: int = 0, before: SplitMemory | None = None
) -> pa.Table:
    """Fill the `split` column where it is null, stratified by class and never through a group; see `split_draw`.

    Rows that have a split keep it, with one exception: where every row has one and none is `val`, validation images
    are taken out of `train`. A group that has a split somewhere keeps it.

    Args:
        rows: an image table with the columns `id`, `label`, `split`, `group`.
        settings: the fractions.
        seed: another seed gives another split.
        before: the split of an earlier run: images and groups that are in it, and have no split of their own, stay
            where they were.

    Raises:
        InputError: the fractions leave nothing to train on, nothing is marked `train`, or nothing can be held out.
    """
    given = rows["split"].to_pylist()
    if "val" in given and all(given):
        return _with_splits(rows, given)
    _refuse_fractions(settings)
    test = 0.0 if all(given) else settings.test_fraction
    units = units_of(rows)
    movable = {None, "train"} if all(given) else {None}
    kept = {unit: split for unit, split in zip(units, given, strict=True) if split not in movable}
    open_rows = [row for row, unit in enumerate(units) if unit not in kept]
    labels = rows["label"].to_pylist()
    drawn = drawn_sides(
        [units[row] for row in open_rows],
        [labels[row] for row in open_rows],
        validation=settings.validation_fraction,
        test=test,
        seed=seed,
        fixed=before.sides_of(rows.take(pa.array(open_rows, pa.int64())), units=[units[row] for row in open_rows])
        if before
        else {},
    )
    splits = [
        split if split not in movable else drawn.get(unit) or split or kept[unit]
        for split, unit in zip(given, units, strict=True)
    ]
    return _with_splits(rows, splits)


def units_of(rows: pa.Table) -> list[str]:
    """A name for every image, which those share that must stay on one side: a group, and all copies of its images."""
    groups, identities = rows["group"].to_pylist(), rows["id"].to_pylist()
    units = [
        f"group {group}" if group is not None else identity for group, identity in zip(groups, identities, strict=True)
    ]
    if rows["group"].null_count == len(units):
        return units
    of_image: dict[str, str] = {}
    joined: dict[str, str] = {}
    for unit, identity in zip(units, identities, strict=True):
        one, other = _root(joined, unit), _root(joined, of_image.setdefault(identity, unit))
        if one != other:
            joined[max(one, other)] = min(one, other)
    return [_root(joined, unit) for unit in units] if joined else units


def _root(joined: dict[str, str], unit: str) -> str:
    while unit in joined:
        unit = joined[unit]
    return unit


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
    if "val" not in splits:
        raise InputError(
            "nothing can be held out for validation: no class has two images that are not copies or of one group",
            hint="add images, or other groups, to at least one class; or mark some images val in the column split",
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
