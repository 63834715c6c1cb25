"""Folders to rows: a class per folder, with or without `train`, `val` and `test` folders above."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.data.columns import SPLIT_NAMES, rows
from vitrail.data.passed_over import PassedOver, kind_of
from vitrail.data.reading import IMAGE_EXTENSIONS, RENAME_HINT

_SYSTEM_FILES = {".ds_store", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class FoundInFolders:
    """The rows of all images, files passed over by extension, and class folders that hold no image."""

    rows: pa.Table
    ignored: PassedOver
    empty_classes: tuple[str, ...]


def rows_from_folder(folder: Path) -> FoundInFolders:
    """Everything below `folder`; the rows are sorted by path.

    A file is taken for an image by its extension (`reading.IMAGE_EXTENSIONS`); whether it can be read is the
    inspection's business. Hidden files and folders are passed over. Links to folders are followed once.

    Raises:
        InputError: images lie beside the class folders, or split folders stand beside class folders.
    """
    ignored = PassedOver()
    found = list(images_in_folders(folder, ignored))
    refuse_undecodable(path for path, _, _ in found)
    paths, labels, split_of = zip(*found, strict=True) if found else ((), (), ())
    empty = {name for top in _tops(folder) for name in _folders_in(top)} - set(labels)
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
        labels_needed: otherwise images may lie outside class folders; none of their folder has a label then.

    Raises:
        InputError: as for `rows_from_folder`.
    """
    for top, split in _tops(folder).items():
        loose = next(images_below(top, Counter(), deep=False), None)
        if loose is None or labels_needed:
            yield from ((path, label, split) for path, label in _labelled(top, ignored))
        else:
            outside: Counter[str] = Counter()
            yield from ((path, None, split) for path in images_below(top, outside))
            ignored.take("", outside)


def _tops(folder: Path) -> dict[Path, str | None]:
    """The folders that hold class folders, each with its split."""
    root = folder.absolute()
    entries = _folders_in(root)
    splits = {name: SPLIT_NAMES[name.lower()] for name in entries if name.lower() in SPLIT_NAMES}
    if splits and len(splits) < len(entries):
        others = sorted(set(entries) - set(splits))
        raise InputError(
            f"{folder}: split folders ({', '.join(sorted(splits))}) stand beside other folders ({', '.join(others)})",
            hint="either give every class folder a split above it, or none",
        )
    return {root / name: splits[name] for name in sorted(splits)} or {root: None}


def refuse_undecodable(paths: Iterable[str]) -> None:
    """File names from another encoding (old archives) cannot be written into reports and tables.

    Raises:
        InputError: there are some.
    """
    bad = [ascii(path) for path in paths if any("\ud800" <= letter <= "\udfff" for letter in path)]
    if bad:
        what = "1 file name is" if len(bad) == 1 else f"{len(bad)} file names are"
        raise InputError(f"{what} not valid UTF-8, the first is {bad[0]}", hint=RENAME_HINT)


def _folders_in(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def _labelled(top: Path, ignored: PassedOver) -> Iterator[tuple[str, str]]:
    outside: Counter[str] = Counter()
    loose = list(images_below(top, outside, deep=False))
    ignored.take("", outside)
    if loose:
        raise InputError(
            f"{top}: {len(loose)} images lie outside any class folder, the first is {Path(loose[0]).name}",
            hint="move every image into a folder named after its class",
        )
    for label in _folders_in(top):
        of_class: Counter[str] = Counter()
        for path in images_below(top / label, of_class):
            yield path, label
        ignored.take(label, of_class)


def images_below(folder: Path, ignored: Counter[str], *, deep: bool = True) -> Iterator[str]:
    """Paths of the images in `folder` and, unless not `deep`, in all folders below it, in order.

    Hidden files and folders are passed over; links to folders are followed once; other files are counted in `ignored`.
    """
    seen = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link that leads back to where we have been
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if deep else []
        for name in sorted(files):
            if name.startswith(".") or name.lower() in _SYSTEM_FILES:
                continue
            extension = os.path.splitext(name)[1].lower()
            if extension in IMAGE_EXTENSIONS:
                yield os.path.join(here, name)
            else:
                ignored[kind_of(os.path.join(here, name))] += 1
