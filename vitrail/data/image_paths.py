"""Files, folders and patterns, as people type them, to a list of image files."""

import glob
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.data.folder_walk import images_below
from vitrail.data.readers.known import is_taken_for_an_image


def image_paths(places: Iterable[str | Path]) -> list[str]:
    """Every image file that `places` name: files as they are, folders with all below them, patterns expanded.

    Folders and patterns give files with an image's extension, sorted; a file named outright is always taken.

    Raises:
        InputError: a place does not exist, or a folder or pattern holds no image.
    """
    found: dict[str, None] = {}
    for place in places:
        found |= dict.fromkeys(_expanded(str(place)))
    return list(found)


def _expanded(place: str) -> list[str]:
    if not place:
        raise InputError("an empty path was given, a file, folder or pattern was expected", hint=". is this folder")
    path = Path(place).expanduser()
    try:
        is_folder, is_there = path.is_dir(), path.exists() or path.is_symlink()
    except OSError as error:  # longer than any path, or in a folder that may not be entered
        raise InputError(f"{place[:200]}: {error.strerror or error}", hint="check what was given as a path") from error
    if is_folder:
        files = _images_below(path)
    elif is_there:
        return [str(path)]
    else:
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise InputError(f"{place}: there is no such file or folder", hint="check the spelling; quote patterns")
        files = [
            file for match in matches for file in (_images_below(Path(match)) if Path(match).is_dir() else [match])
        ]
        files = [file for file in files if is_taken_for_an_image(file)]
    if not files:
        raise InputError(f"{place}: no images there", hint="expected files such as .jpg, .png, .tif")
    return files


def _images_below(folder: Path) -> list[str]:
    return list(images_below(folder, Counter()))
