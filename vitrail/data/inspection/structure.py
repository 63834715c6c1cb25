"""Findings about classes, splits and groups: what the table alone tells, given which images are readable."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from vitrail.basics.natural_order import in_natural_order
from vitrail.data.inspection.class_names import class_name_findings
from vitrail.data.inspection.findings import Finding, counted, listed
from vitrail.data.inspection.holding_out import holding_out_findings


def structure_findings(table: pa.Table) -> Iterator[Finding]:
    """Findings about classes, their spelling and size, splits and groups.

    Args:
        table: an image table with the columns `readable` and `fault`.
    """
    readable = table.filter(pc.field("readable"))
    yield from _unreadable(table)
    yield from _classes(table, readable)
    yield from class_name_findings(table)
    yield from holding_out_findings(readable)
    yield from _classes_by_split(readable)
    yield from _groups(readable)


def empty_folder_findings(names: tuple[str, ...]) -> Iterator[Finding]:
    """A warning that names the class folders without any image."""
    if names:
        yield Finding(
            "empty-folder",
            "warning",
            f"{counted(len(names), 'class folder holds', 'class folders hold')} no image: {listed(names)}",
            names,
            "the class is left out: add images of a known type, or remove the folder",
        )


def _unreadable(table: pa.Table) -> Iterator[Finding]:
    bad = table.filter(~pc.field("readable"))
    if bad.num_rows:
        lines = [f"{path}: {fault}" for path, fault in _rows(bad, "path", "fault")]
        yield Finding(
            "unreadable",
            "error",
            f"{counted(bad.num_rows, 'image')} of {table.num_rows:,} cannot be read",
            tuple(lines),
            "mend or remove these files",
        )


def _classes(table: pa.Table, readable: pa.Table) -> Iterator[Finding]:
    counts = Counter(readable["label"].to_pylist())
    empty = in_natural_order(set(table["label"].to_pylist()) - set(counts))
    if empty:
        yield Finding(
            "empty-class",
            "error",
            f"{counted(len(empty), 'class has', 'classes have')} no readable image: {listed(empty)}",
            tuple(empty),
            "add images to the class or remove it",
        )
    if len(counts) == 1:
        yield Finding(
            "one-class",
            "error",
            f"there is only one class, {next(iter(counts))!r}: nothing can be told apart",
            (),
            "a classifier needs two classes: one folder, or one label, for each",
        )


def _classes_by_split(readable: pa.Table) -> Iterator[Finding]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for label, split in _rows(readable, "label", "split"):
        # Images without a split are divided later; they can all reach training.
        found[split or "train"][label] += 1
    judged = [split for split in ("val", "test") if split in found]
    if "train" not in found or not judged:
        return
    unknown = [
        f"{label!r}: {counted(found[split][label], 'image')} in {split}"
        for split in judged
        for label in in_natural_order(set(found[split]) - set(found["train"]))
    ]
    if unknown:
        yield Finding(
            "class-missing-from-train",
            "error",
            f"training lacks what it will be judged by: {unknown[0]}"
            + (f" (+{len(unknown) - 1} more)" if unknown[1:] else ""),
            tuple(unknown),
            "move some images of the class into train, or check the spelling of the class",
        )
    # Where some images have no split yet, a class that val lacks may still be given to it.
    if readable["split"].null_count:
        return
    absent = [
        f"{label!r}: none in {split}"
        for split in judged
        for label in in_natural_order(set(found["train"]) - set(found[split]))
    ]
    if absent:
        yield Finding(
            "class-missing-from-split",
            "warning",
            f"{counted(len(absent), 'class', 'classes')} of train cannot be judged: {absent[0]}"
            + (f" (+{len(absent) - 1} more)" if absent[1:] else ""),
            tuple(absent),
            "figures will say nothing about these classes; move some of their images there",
        )


def _groups(readable: pa.Table) -> Iterator[Finding]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for group, split in _rows(readable, "group", "split"):
        if group is not None and split is not None:
            counts[group][split] += 1
    torn = {group: counts[group] for group in in_natural_order(counts) if len(counts[group]) > 1}
    if torn:
        yield Finding(
            "group-across-splits",
            "warning",
            f"{counted(len(torn), 'group is', 'groups are')} on both sides of a split, of {len(counts):,}: "
            f"{listed(torn, most=3)}",
            tuple(
                f"{group}: " + ", ".join(f"{count:,} in {split}" for split, count in sorted(splits.items()))
                for group, splits in torn.items()
            ),
            "images of one patient resemble each other: keep a group in one split, or leave the split out and let "
            "Vitrail divide by group",
        )


def _rows(table: pa.Table, *names: str) -> Iterator[tuple]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)
