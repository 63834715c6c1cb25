"""Where the class folders are: below the folder that was given, below splits, one level deeper, or nowhere."""

import os
import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.data.folder_names import are_folds, are_like_splits, are_parts, splits_of
from vitrail.data.folder_walk import folders_in, has_loose_images, holds_images, images_below
from vitrail.data.table_files import ARCHIVES

_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_MOST = 0.8
"""Share of the class folders that must hold the same subfolders, and of their subfolders that must be the same."""


@dataclass(frozen=True)
class Layout:
    """Which folders hold class folders.

    Attributes:
        tops: these, each with its split.
        fault: why the folders below are no classes; None where they are.
    """

    tops: dict[Path, str | None]
    fault: InputError | None = field(default=None, compare=False)


def layout_of(folder: Path) -> Layout:
    """Find the class folders below `folder`.

    Raises:
        InputError: split folders stand beside other folders with images.
    """
    root = folder.absolute()
    names = folders_in(root)
    splits = splits_of(names)
    if splits:
        others = sorted(name for name in names if name not in splits and holds_images(root / name))
        if others:
            raise _beside_splits(folder, splits, others)
        return Layout({_unwrapped(root / name, splits[name]): splits[name] for name in sorted(splits)})
    if len(names) == 1 and not has_loose_images(root) and splits_of(folders_in(root / names[0])):
        return layout_of(root / names[0])
    return Layout({root: None}, _not_classes(folder, [name for name in names if holds_images(root / name)]))


def _unwrapped(top: Path, split: str) -> Path:
    """Archives often hold `seg_train/seg_train/CLASS`: a folder that only says the split again is gone through."""
    inner = folders_in(top)
    if len(inner) != 1 or has_loose_images(top):
        return top
    repeated = inner[0].lower() == top.name.lower() or splits_of(inner).get(inner[0]) == split
    return _unwrapped(top / inner[0], split) if repeated else top


def _beside_splits(folder: Path, splits: dict[str, str], others: list[str]) -> InputError:
    flat = [name for name in others if not folders_in(folder / name) or has_loose_images(folder / name)]
    message = f"{folder}: split folders ({', '.join(sorted(splits))}) stand beside other folders ({', '.join(others)})"
    if len(flat) == len(others) and any(folders_in(folder / name) for name in splits):
        return InputError(
            message,
            hint=f"images without a class are for later: move {flat[0]} out of {folder}, and when the model is made: "
            f"vitrail predict PACKAGE {shlex.quote(flat[0])}; if {sorted(splits)[0]} is a class, give a table with the "
            "columns path and label",
        )
    return InputError(
        message,
        hint=f"either give every class folder a split above it, or none; if {sorted(splits)[0]} is a class, give a "
        "table with the columns path and label",
    )


def _not_classes(folder: Path, names: list[str]) -> InputError | None:
    """Why folders with images are no classes; None where nothing speaks against it."""
    root = folder.absolute()
    if len(names) == 1 and not has_loose_images(root):
        return _one_outer_folder(folder, names[0])
    whole = next((name for name in names if len(set(splits_of(folders_in(root / name)).values())) > 1), None)
    if whole is not None and not _shared_subfolders(root, names):
        return InputError(
            f"{folder}: {whole} holds splits ({_listed(folders_in(root / whole))}), as a data set does, not a class",
            hint=f"give one data set alone: {shlex.quote(str(folder / whole))}",
        )
    if are_like_splits(names):
        return InputError(
            f"{folder}: the folders are called like splits, not like classes: {_listed(names)}",
            hint="rename them to train, val and test, or move what belongs together into these",
        )
    if are_folds(names):
        return InputError(
            f"{folder}: the folders are called like folds of a cross-validation, not like classes: {_listed(names)}",
            hint=f"rename {names[-1]} to val and put what is in the others into train, or "
            f"{_table(folder, label=2, split=1)}, with train and val for {names[0]} to {names[-1]}",
        )
    if are_parts(names):
        return InputError(
            f"{folder}: the folders are called like parts of a data set, not like classes: {_listed(names)}",
            hint=_table_beside(folder) or f"give the one with the class folders, e.g. {folder / names[0]}",
        )
    shared = _shared_subfolders(root, names)
    if not shared:
        return None
    message = (
        f"{folder}: {len(names)} folders ({_listed(names)}) hold the same folders ({_listed(shared)}): which of both "
        "are the classes cannot be known"
    )
    if len(splits_of(shared)) == len(shared):
        return InputError(message, hint=f"put the splits above the classes, or {_table(folder, label=1, split=2)}")
    if are_parts(shared):
        return InputError(message, hint=f"keep {shared[0]} alone in every class, or {_table(folder, label=1)}")
    return InputError(
        message,
        hint=f"if {names[0]} is a class, {_table(folder, label=1)}; if {shared[0]} is one, the same with $2 for $1",
    )


def _one_outer_folder(folder: Path, name: str) -> InputError | None:
    inner = _with_images(folder.absolute() / name)
    while len(inner) == 1 and not has_loose_images(folder.absolute() / name):
        name = os.path.join(name, inner[0])
        inner = _with_images(folder.absolute() / name)
    beside = _table_beside(folder)
    if beside and not inner:
        return InputError(f"{folder}: all images lie in one folder, {name}", hint=beside)
    if len(inner) < 2 or has_loose_images(folder.absolute() / name):
        return None
    return InputError(
        f"{folder}: there is one folder, {name}, and inside are {len(inner)}: {_listed(inner)}",
        hint=f"if these are the classes, go one level down: give {shlex.quote(str(folder / name))}",
    )


def _with_images(root: Path) -> list[str]:
    return [name for name in folders_in(root) if holds_images(root / name)]


def loose_images_fault(top: Path, loose: list[str], split: str | None) -> InputError:
    """What to say of images that lie where class folders were expected."""
    lie = "1 image lies" if len(loose) == 1 else f"{len(loose):,} images lie"
    message = f"{top}: {lie} outside any class folder, the first is {Path(loose[0]).name}"
    if split is not None and not folders_in(top):
        return InputError(
            message,
            hint=f"images without a class are for later: move {top.name} out of {top.parent}, and when the model is "
            f"made: vitrail predict PACKAGE {shlex.quote(top.name)}",
        )
    move = "move every image into a folder named after its class, or write a table with the columns path and label"
    return InputError(message, hint=_table_beside(top) or _table_of_names(top, loose) or move)


def _table_of_names(top: Path, loose: list[str]) -> str | None:
    """What to type where the files are called after their classes: `cat.12.jpg`, `dog_7.jpg`."""
    begins = [re.match(r"[A-Za-z]+(?=[-_. ]*\d)", Path(path).name) for path in loose]
    counts = Counter(begin[0] for begin in begins if begin)
    if folders_in(top) or counts.total() < len(loose) or not 1 < len(counts) <= len(loose) / 2:
        return None
    return (
        f"do their names begin with the class ({_listed(sorted(counts))})? Then write a table: "
        f'(cd {shlex.quote(str(top))} && ls | awk \'BEGIN{{print "path,label"}}'
        "/^[A-Za-z]+[-_. ]*[0-9]/&&"
        f'match($0,/^[A-Za-z]+/){{print $0","substr($0,1,RLENGTH)}}\' > labels.csv), and give it'
    )


def instead_of_images(folder: Path) -> str | None:
    """What to do about a folder without images: unpack the archive, or give the table, that lies there."""
    archives = _files_in(folder, ARCHIVES)
    if not archives:
        return _table_beside(folder)
    return f"unpack {archives[0]} first, and give the folder that comes out"


def _files_in(folder: Path, extensions: tuple[str, ...]) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.lower().endswith(extensions))


def _table_beside(folder: Path) -> str | None:
    tables = _files_in(folder, _TABLES)
    if not tables:
        return None
    return f"does {tables[0]} say the classes? Then give it: vitrail check {shlex.quote(str(folder / tables[0]))}"


def _table(folder: Path, *, label: int, split: int | None = None) -> str:
    """A command that writes a table from the names of the folders."""
    first = next(images_below(folder.absolute(), Counter()), "x.png")
    heading, columns = "path,label", ["$0", f"${label}"]
    if split is not None:
        heading, columns = f"{heading},split", [*columns, f"${split}"]
    cells = '","'.join(columns)
    return (
        f"write a table: (cd {shlex.quote(str(folder))} && find * -name '*{Path(first).suffix}' | awk -F/ "
        f"'BEGIN{{print \"{heading}\"}}{{print {cells}}}' > labels.csv), and give it"
    )


def _shared_subfolders(root: Path, names: list[str]) -> list[str]:
    """Names of two or more folders that nearly all of the class folders hold, and hardly any other."""
    if len(names) < 2:
        return []
    inner = {name: set(folders_in(root / name)) for name in names}
    counts = Counter(each for found in inner.values() for each in found)
    shared = {each for each, count in counts.items() if count >= max(2, _MOST * len(names))}
    least = 2
    if _are_few(counts, len(names)):
        shared, least = set(counts), 1
    alike = [name for name, found in inner.items() if found and len(found & shared) >= max(least, _MOST * len(found))]
    if len(alike) < _MOST * len(names) or any(has_loose_images(root / name) for name in alike[:5]):
        return []
    return sorted(
        each
        for each in shared
        if any(os.path.isdir(root / name / each) and holds_images(root / name / each) for name in alike[:20])
    )[:20]


def _are_few(counts: Counter[str], folders: int) -> bool:
    """Whether the same few subfolders come again and again, not all of them everywhere: classes below patients, say."""
    often = sum(counts.values()) >= folders * len(counts) / 2
    return len(counts) > 1 and min(counts.values()) > 1 and (often or folders >= 2 * len(counts))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f", … ({len(names)})" if len(names) > 4 else "")
