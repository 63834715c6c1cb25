"""Folders to rows: a class per folder, with or without `train`, `val` and `test` folders above."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.basics.printable import printable
from vitrail.data.columns import rows
from vitrail.data.folder_layout import layout_of, loose_images_fault
from vitrail.data.folder_walk import folders_in, has_loose_images, images_below, images_left_out
from vitrail.data.passed_over import PassedOver
from vitrail.data.written_names import name_fault


@dataclass(frozen=True)
class FoundInFolders:
    """The rows of all images, files passed over by extension, and class folders that hold no image."""

    rows: pa.Table
    ignored: PassedOver
    empty_classes: tuple[str, ...]


def rows_from_folder(folder: Path) -> FoundInFolders:
    """Everything below `folder`; the rows are sorted by path.

    A file is taken for an image by its extension (`readers.known`); whether it can be read is the
    inspection's business. Hidden files and folders are passed over. Links to folders are followed once.

    Raises:
        InputError: images lie beside the class folders, split folders stand beside class folders, or the folders are
            no classes.
    """
    ignored = PassedOver()
    found = list(images_in_folders(folder, ignored))
    refuse_undecodable(path for path, _, _ in found)
    paths, labels, split_of = zip(*found, strict=True) if found else ((), (), ())
    empty = {name for top in layout_of(folder).tops for name in folders_in(top)} - set(labels)
    return FoundInFolders(
        rows(path=list(paths), label=list(labels), split=list(split_of)), ignored, tuple(sorted(empty))
    )


def images_in_folders(
    folder: Path, ignored: PassedOver, *, labels_needed: bool = True
) -> Iterator[tuple[str, str | None, str | None]]:
    """Path, label and split of every image below `folder`, one by one, as `rows_from_folder` finds them.

    Args:
        folder: with class folders, or split folders with class folders.
        ignored: files that are passed over are counted here.
        labels_needed: otherwise images may lie outside class folders, or folders may be no classes; none has a label
            then.

    Raises:
        InputError: as for `rows_from_folder`.
    """
    layout = layout_of(folder)
    if layout.fault is not None and labels_needed:
        raise layout.fault
    for top, split in layout.tops.items():
        if labels_needed or (layout.fault is None and not has_loose_images(top)):
            yield from ((path, label, split) for path, label in _labelled(top, split, ignored))
        else:
            outside: Counter[str] = Counter()
            yield from ((path, None, split) for path in images_below(top, outside))
            ignored.take("", outside)


def refuse_undecodable(paths: Iterable[str]) -> None:
    """File names from another encoding (old archives) cannot be written into reports and tables.

    Raises:
        InputError: there are some.
    """
    bad = [path for path in paths if any("\ud800" <= letter <= "\udfff" for letter in path)]
    if bad:
        what, hint = name_fault(map(os.fsencode, bad))
        count = f"1 file name {what}" if len(bad) == 1 else f"{len(bad)} file names: the first {what}"
        raise InputError(f"{count}: {printable(bad[0])}", hint=hint)


def _labelled(top: Path, split: str | None, ignored: PassedOver) -> Iterator[tuple[str, str]]:
    outside: Counter[str] = Counter()
    loose = list(images_below(top, outside, deep=False))
    ignored.take("", outside + images_left_out(top))
    if loose:
        raise loose_images_fault(top, loose, split)
    for label in folders_in(top):
        of_class: Counter[str] = Counter()
        for path in images_below(top / label, of_class):
            yield path, label
        ignored.take(label, of_class)
