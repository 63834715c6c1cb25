"""What lies in folders: class folders and images, but what is hidden, what other programs put there, and our own."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vitrail.data.folder_names import is_like_a_tool, is_ours, is_passed_over
from vitrail.data.passed_over import kind_of
from vitrail.data.readers.known import is_named_like_an_image, is_taken_for_an_image

_SYSTEM_FILES = {"thumbs.db", "desktop.ini"}


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
            files = (file for _, _, files in os.walk(root / name) for file in files if not file.startswith("."))
            found[f"images in {name}/"] = sum(map(is_named_like_an_image, files))
    return +found


def _is_left_out(folder: Path) -> bool:
    return _is_of_a_tool(folder) or _is_ours(folder)


def _is_of_a_tool(folder: Path) -> bool:
    """Whether another program keeps its runs there; a folder that holds nothing but images is a class of that name."""
    if not is_like_a_tool(folder.name):
        return False
    inner = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return not inner or not all(entry.is_file() and is_named_like_an_image(entry.name) for entry in inner)


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
            path = os.path.join(here, name)
            if is_taken_for_an_image(path):
                yield path
            else:
                ignored[kind_of(path)] += 1
