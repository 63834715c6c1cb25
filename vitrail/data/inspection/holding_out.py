"""Findings about what can be trained on and what can be held out, given which images belong together."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import pyarrow as pa

from vitrail.basics.natural_order import in_natural_order
from vitrail.data.inspection.findings import Finding, counted, listed
from vitrail.data.split import units_of


def holding_out_findings(readable: pa.Table) -> Iterator[Finding]:
    """Whether a fit could train on these images and judge with others.

    Args:
        readable: the readable rows of an image table with the columns of the inspection.
    """
    if not readable.num_rows:
        return
    given = readable["split"].to_pylist()
    if all(given) and "train" not in given:
        yield Finding(
            "nothing-to-train",
            "error",
            f"no image is marked for training: all {len(given):,} are in {' or '.join(sorted(set(given)))}",
            (),
            "mark images train, or leave the split out and let Vitrail divide them",
        )
        return
    labels = readable["label"].to_pylist()
    units = units_of(readable)
    units_by_class: dict[str, set[str]] = defaultdict(set)
    for unit, label in zip(units, labels, strict=True):
        units_by_class[label].add(unit)
    if len(units_by_class) < 2:  # which is said by others
        return
    yield from _lonely(readable, labels, units_by_class)
    movable = [row for row, split in enumerate(given) if split is None or (split == "train" and all(given))]
    if "val" not in given and not _can_be_held_out([(units[row], labels[row]) for row in movable]):
        yield _nothing_to_judge(readable.take(pa.array(movable, pa.int64())), {units[row] for row in movable})


def _can_be_held_out(images: list[tuple[str, str]]) -> bool:
    """Whether some unit can go without taking a class along."""
    units_by_class, classes_by_unit = defaultdict(set), defaultdict(set)
    for unit, label in images:
        units_by_class[label].add(unit)
        classes_by_unit[unit].add(label)
    several = {label for label, units in units_by_class.items() if len(units) > 1}
    return any(classes <= several for classes in classes_by_unit.values())


def _nothing_to_judge(divisible: pa.Table, units: set[str]) -> Finding:
    grouped = divisible["group"].null_count < divisible.num_rows
    why = (
        "all images of a class are of one group, or copies"
        if grouped
        else "every class has a single image, or copies of one"
    )
    return Finding(
        "nothing-to-judge",
        "error",
        f"nothing can be held out to judge with: {why} ({counted(divisible.num_rows, 'image')} to "
        f"divide, {counted(len(units), 'independent one')})",
        (),
        "add images to the classes, at least two of each"
        + (", of different groups" if grouped else "")
        + "; or mark some images val in the column split of a table",
    )


def _lonely(readable: pa.Table, labels: list[str], units_by_class: dict[str, set[str]]) -> Iterator[Finding]:
    counts = Counter(labels)
    images = {label: counts[label] for label, units in units_by_class.items() if len(units) == 1}
    alone = in_natural_order(label for label, count in images.items() if count == 1)
    if alone:
        yield Finding(
            "class-of-one",
            "warning",
            f"{counted(len(alone), 'class has', 'classes have')} a single image: {listed(alone)}",
            tuple(alone),
            "an image cannot be trained on and judged with at once: add images or merge the class with another",
        )
    together = in_natural_order(label for label, count in images.items() if count > 1)
    if together and not all(readable["split"].to_pylist()):
        yield Finding(
            "class-of-one-group",
            "warning",
            f"{counted(len(together), 'class is', 'classes are')} one group, or copies of one image: "
            f"{listed(together)}",
            tuple(f"{label}: {counted(images[label], 'image')}" for label in together),
            "they are trained on and cannot be judged: add images of other groups",
        )
