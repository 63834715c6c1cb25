"""Where the class folders are: below the folder that was given, below splits, one level deeper, or nowhere."""

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.data.folder_names import (
    are_folds,
    are_like_splits,
    are_parts,
    is_like_a_tool,
    is_ours,
    is_passed_over,
    splits_of,
)
from vitrail.data.passed_over import kind_of
from vitrail.data.reading import IMAGE_EXTENSIONS
from vitrail.data.table_files import ARCHIVES

_SYSTEM_FILES = {"thumbs.db", "desktop.ini"}
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
    inner = [each for each in folders_in(folder.absolute() / name) if holds_images(folder.absolute() / name / each)]
    beside = _table_beside(folder)
    if beside and not inner:
        return InputError(f"{folder}: all images lie in one folder, {name}", hint=beside)
    if len(inner) < 2 or has_loose_images(folder.absolute() / name):
        return None
    return InputError(
        f"{folder}: there is one folder, {name}, and inside are {len(inner)}: {_listed(inner)}",
        hint=f"if these are the classes, go one level down: give {shlex.quote(str(folder / name))}",
    )


def loose_images_fault(top: Path, loose: list[str], split: str | None) -> InputError:
    """What to say of images that lie where class folders were expected."""
    message = f"{top}: {len(loose)} images lie outside any class folder, the first is {Path(loose[0]).name}"
    if split is not None and not folders_in(top):
        return InputError(
            message,
            hint=f"images without a class are for later: move {top.name} out of {top.parent}, and when the model is "
            f"made: vitrail predict PACKAGE {shlex.quote(top.name)}",
        )
    move = "move every image into a folder named after its class, or write a table with the columns path and label"
    return InputError(message, hint=_table_beside(top) or move)


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
    alike = [name for name, found in inner.items() if found and len(found & shared) >= max(2, _MOST * len(found))]
    if len(alike) < _MOST * len(names) or any(has_loose_images(root / name) for name in alike[:5]):
        return []
    return sorted(each for each in shared if holds_images(root / alike[0] / each))[:20] if alike else []


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f", … ({len(names)})" if len(names) > 4 else "")


def folders_in(root: Path) -> list[str]:
    """Names of the folders in a folder, but those that are passed over and our own."""
    with os.scandir(root) as entries:
        found = sorted(entry.name for entry in entries if not is_passed_over(entry.name) and entry.is_dir())
    return [name for name in found if not _is_left_out(root / name)]


def images_left_out(root: Path, names: list[str] | None = None) -> Counter[str]:
    """How many images lie in folders of `root` that are called like a tool's, or hold something of ours."""
    names = names if names is not None else [each.name for each in os.scandir(root) if each.is_dir()]
    found: Counter[str] = Counter()
    for name in names:
        if not is_passed_over(name) and _is_left_out(root / name):
            files = (file for _, _, files in os.walk(root / name) for file in files)
            found[f"images in {name}/"] = sum(_is_image(file) for file in files if not file.startswith("."))
    return +found


def _is_left_out(folder: Path) -> bool:
    return _is_of_a_tool(folder) or _is_ours(folder)


def _is_of_a_tool(folder: Path) -> bool:
    """Whether another program keeps its runs there; a folder that holds nothing but images is a class of that name."""
    if not is_like_a_tool(folder.name):
        return False
    inner = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return not inner or not all(entry.is_file() and _is_image(entry.name) for entry in inner)


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def _is_ours(folder: Path, depth: int = 3) -> bool:
    """Whether a folder is a run, a package or a store of ours, or holds nothing but such (`runs`)."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return False
    if is_ours({entry.name for entry in entries}):
        return True
    inner = [entry for entry in entries if not entry.name.startswith(".")]
    return bool(inner) and depth > 1 and all(entry.is_dir() and _is_ours(Path(entry), depth - 1) for entry in inner)


def has_loose_images(folder: Path) -> bool:
    """Whether images lie in a folder itself."""
    return next(images_below(folder, Counter(), deep=False), None) is not None


def holds_images(folder: Path) -> bool:
    """Whether images lie anywhere below a folder."""
    return next(images_below(folder, Counter()), None) is not None


def images_below(folder: Path, ignored: Counter[str], *, deep: bool = True) -> Iterator[str]:
    """Paths of the images in `folder` and, unless not `deep`, in all folders below it, in order.

    What is hidden, what other programs put beside images, and our own runs and stores are passed over; links to
    folders are followed once; other files are counted in `ignored`.
    """
    seen = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        # A link that leads back to where we have been, or what Vitrail made itself.
        if real in seen or is_ours({*files, *folders}):
            folders.clear()
            continue
        seen.add(real)
        ignored.update(images_left_out(Path(here), folders) if deep else ())
        folders[:] = sorted(name for name in folders if not is_passed_over(name)) if deep else []
        folders[:] = [name for name in folders if not _is_of_a_tool(Path(here, name))]
        for name in sorted(files):
            if name.startswith(".") or name.lower() in _SYSTEM_FILES:
                continue
            if _is_image(name):
                yield os.path.join(here, name)
            else:
                ignored[kind_of(os.path.join(here, name))] += 1
