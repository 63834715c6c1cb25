"""The columns every image table has, and the words that are understood in them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.files import Stamp

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip

Place = tuple[str, int]
"""Path and frame of one image."""


class CheckedPlace(NamedTuple):
    """A place with the id of the image that was found there, and the stamp of its file at that time."""

    path: str
    frame: int
    id: str
    stamp: Stamp


AnyPlace = Place | CheckedPlace
"""A place, whether it was checked or not."""

FIXED = ("path", "frame", "label", "split", "group")


@dataclass(frozen=True)
class LabelledImages:
    """Images of one split: where they lie, their ids and class numbers."""

    places: Sequence[AnyPlace]
    ids: list[str]
    labels: Int[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.places)


def rows(
    *,
    path: list[str],
    label: list[str] | list[str | None],
    split: list[str | None] | None = None,
    group: list[str | None] | None = None,
    frame: list[int] | None = None,
    **attributes: Any,
) -> pa.Table:
    """An image table's rows from plain lists of equal length; what is not given is null (frame: 0)."""
    count = len(path)
    columns = {
        "path": pa.array(path, pa.string()),
        "frame": pa.array(frame or [0] * count, pa.int32()),
        "label": pa.array(label, pa.string()),
        "split": pa.array(split or [None] * count, pa.string()),
        "group": pa.array(group or [None] * count, pa.string()),
    }
    return pa.table({**columns, **attributes})


def split_word(word: str | None) -> str | None:
    """`train`, `val` or `test` for any usual spelling of it; None for an empty cell.

    Raises:
        InputError: the word is no split.
    """
    if word is None or not word.strip():
        return None
    found = SPLIT_NAMES.get(word.strip().lower())
    if found is None:
        guess = did_you_mean(word, SPLIT_NAMES)
        raise InputError(f"column 'split' holds {word!r}", hint=guess or "use train, val or test")
    return found


def places_of(rows: pa.Table) -> list[Place]:
    """Path and frame of every row."""
    return list(zip(rows["path"].to_pylist(), rows["frame"].to_pylist(), strict=True))


def evenly_chosen(places: Sequence[AnyPlace], count: int) -> list[AnyPlace]:
    """At most `count` of them, from everywhere in the list: rows mostly stand class by class."""
    numbers = np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int))
    return [places[number] for number in numbers]


def shared_folder(rows: pa.Table) -> str:
    """The folder that all paths begin with, with a final separator: what need not be repeated on a terminal.

    Empty where they share the root alone.
    """
    return _shared_folder(rows["path"].to_pylist())


def _shared_folder(paths: list[str]) -> str:
    folder = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    return "" if folder in ("", os.path.sep) else os.path.join(folder, "")


@dataclass(frozen=True)
class ImageHome:
    """The folders that lead to the images of a data set, and name whoever has them."""

    folders: tuple[str, ...]

    @classmethod
    def of(cls, rows: pa.Table) -> "ImageHome":
        """The same of an image table."""
        return cls.of_paths(rows["path"].to_pylist())

    @classmethod
    def of_paths(cls, paths: list[str]) -> "ImageHome":
        """What all images share, or, where that is next to nothing, the folder that each lies two levels below."""
        shared = _shared_folder(paths)
        if shared.strip(os.sep):
            return cls((shared,))
        above = {os.path.dirname(os.path.dirname(path)) for path in paths}
        return cls(
            tuple(sorted((os.path.join(each, "") for each in above if each.strip(os.sep)), key=len, reverse=True))
        )

    def without(self, text: str) -> str:
        """The words, with images named from there."""
        for folder in self.folders:
            text = without_folder(text, folder)
        return text


def without_folder(text: str, folder: str) -> str:
    """Words about images, the folder they share left out where a path begins with it.

    >>> without_folder("/home/ann/photos/cat/1.png: truncated", "/home/ann/photos/")
    'cat/1.png: truncated'
    """
    return re.sub(rf"""(?<![^\s'"(\[=,:]){re.escape(folder)}""", "", text) if folder else text


def in_split(rows: pa.Table, split: str) -> pa.Table:
    """The rows of one split."""
    return rows.filter(pc.field("split") == split)


def labels_of(rows: pa.Table, classes: list[str]) -> Int[np.ndarray, "N"]:
    """Class numbers (N,), by position in `classes`."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[label] for label in rows["label"].to_pylist()], dtype=np.int64)
