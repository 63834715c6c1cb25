"""The images of a run, divided into splits: what is trained on and what is judged."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from vitrail.basics.seeds import derived_seed
from vitrail.data.checked_files import checked_places
from vitrail.data.columns import LabelledImages, in_split, labels_of


@dataclass(frozen=True)
class SplitImages:
    """The rows of a run and how they are read.

    Attributes:
        rows: an image table in which every row has a split.
        classes: names in the order of the class numbers.
        workers: processes that decode.
    """

    rows: pa.Table
    classes: list[str]
    workers: int

    @classmethod
    def of(cls, rows: pa.Table, *, workers: int) -> "SplitImages":
        """All images of the table, their classes in alphabetical order."""
        return cls(rows, sorted(set(rows["label"].to_pylist())), workers)

    def labelled(self, split: str, *, most: int | None = None, seed: int = 0) -> LabelledImages:
        """The images of a split; `most` takes a fixed sample."""
        part = self._part(split, most, seed)
        return LabelledImages(checked_places(part), part["id"].to_pylist(), labels_of(part, self.classes))

    def _part(self, split: str, most: int | None, seed: int) -> pa.Table:
        part = in_split(self.rows, split)
        if most is None or part.num_rows <= most:
            return part
        generator = np.random.Generator(np.random.PCG64(derived_seed(seed, "sample", split)))
        return part.take(np.sort(generator.choice(part.num_rows, most, replace=False)))

    def count(self, split: str) -> int:
        """How many images a split has."""
        return in_split(self.rows, split).num_rows

    def ids(self, split: str) -> list[str]:
        """Ids of the images of a split."""
        return in_split(self.rows, split)["id"].to_pylist()

    def groups(self, split: str, *, most: int | None = None, seed: int = 0) -> Int[np.ndarray, "_"] | None:
        """Groups of the images that `labelled` gives, numbered from 0; None when every image stands for itself."""
        return numbered_groups(self._part(split, most, seed))

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images by split and class."""
        grouped = self.rows.group_by(["split", "label"]).aggregate([([], "count_all")]).sort_by("label").to_pylist()
        there = {line["split"] for line in grouped}
        return {
            split: {line["label"]: line["count_all"] for line in grouped if line["split"] == split}
            for split in ("train", "val", "test")
            if split in there
        }


def group_numbers(rows: pa.Table, split: str) -> Int[np.ndarray, "_"] | None:
    """Groups of a split's images, numbered from 0; None when every image stands for itself."""
    return numbered_groups(in_split(rows, split))


def numbered_groups(rows: pa.Table) -> Int[np.ndarray, "_"] | None:
    """Groups numbered from 0; an image without a group is one of its own. None when every image stands for itself."""
    groups, identities = rows["group"].to_pylist(), rows["id"].to_pylist()
    names = [(group is None, group or identity) for group, identity in zip(groups, identities, strict=True)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64) if len(numbers) < len(names) else None


def fingerprint(rows: pa.Table) -> str:
    """Twelve digits that change when any image, label, split or group does, and not when files are moved."""
    columns = [rows[name].to_pylist() for name in ("id", "label", "split", "group")]
    lines = sorted("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
