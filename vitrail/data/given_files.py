"""Files that somebody gave, all of them at once: for work that can be stopped and continued."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.data.columns import Place
from vitrail.data.given_pictures import given_pictures


@dataclass(frozen=True)
class GivenFiles:
    """Images in files, in the order in which they were given.

    Attributes:
        name: of what was given: of the folder, or of the folder that the first file lies in.
        places: where they lie.
    """

    name: str
    places: list[Place]

    @property
    def paths(self) -> list[str]:
        """Of every image."""
        return [path for path, *_ in self.places]


def given_files(images: Any) -> GivenFiles:
    """The files that were given: paths, folders, patterns, `(path, frame)`; one or many.

    Raises:
        InputError: a path does not exist, there is no image, or one is no file.
    """
    places: list[Place] = []
    for _, picture in given_pictures(images).named:
        if not isinstance(picture, tuple):
            raise InputError(
                f"an image in memory ({type(picture).__name__}) was given, files were expected",
                hint="give files or folders; for pictures in memory ask the predictor: its answers have `likeness`",
            )
        places.append((os.path.abspath(picture[0]), picture[1]))
    if not places:
        raise InputError("no image was given", hint="name files, folders or patterns")
    first = images[0] if isinstance(images, list | tuple) and images else images
    folder = Path(first) if isinstance(first, str | os.PathLike) and os.path.isdir(first) else Path(places[0][0]).parent
    return GivenFiles(folder.resolve().name or "images", places)
