"""The readable pictures of a table, which of them look alike, and the pairs that stand on different sides."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vitrail.data.columns import places_of
from vitrail.data.inspection.details import SIDE, details_of
from vitrail.data.inspection.near_duplicates import LookAlikes
from vitrail.data.workers import map_in_workers

BLANK_SHARE = 0.95
"""Pictures with one grey value on this share of their area, or more, have too little on them to be compared."""

LEAST_SIDE = 32
"""Pictures with a shorter side have fewer pixels than the thumbnail that is hashed; they are not compared. Measured on
1,797 handwritten digits of 8 × 8 pixels: 395 pairs of different digits would be near duplicates."""


MOST_CONFIRMED = 20_000
"""Pictures that are compared on their pixels: 4 kB of memory each, and the time of reading them once more."""


@dataclass(frozen=True)
class ReadablePictures:
    """The readable rows of a table as plain lists, and the near duplicates among them.

    Attributes:
        path: file of each picture.
        label: class.
        split: split, or None.
        id: content hash; equal for identical files.
        alike: perceptual facts of the distinct pictures that can be compared.
        position: for each id that can be compared, its position in `alike`.
        clusters: for each row, the row at which its near-duplicate cluster begins; -1 where it is in none.
    """

    path: list[str]
    label: list[str]
    split: list[str | None]
    id: list[str]
    alike: LookAlikes
    position: dict[str, int]
    clusters: list[int]

    def line(self, row: int) -> str:
        """A row as one line: path, split where there is one, class."""
        where = f"{self.split[row]}, " if self.split[row] else ""
        return f"{self.path[row]} ({where}{self.label[row]})"

    def copies(self) -> list[list[int]]:
        """Rows with identical content, together."""
        return _grouped(self.id, range(len(self.id)))

    def look_alikes(self) -> list[list[int]]:
        """Rows of one near-duplicate cluster, together."""
        return _grouped(self.clusters, [row for row, cluster in enumerate(self.clusters) if cluster >= 0])


def pictures_of(table: pa.Table, *, workers: int = 0) -> ReadablePictures:
    """Collect the readable rows and find near duplicates among them.

    Those that look alike by hash and sketch are read once more and compared on their pixels, `MOST_CONFIRMED` of them
    at most: where more look alike, all are taken for near duplicates.

    Args:
        table: an image table with the columns of the inspection, `perceptual_hash` and `sketch` among them.
        workers: processes that read.
    """
    rows = table.filter(pc.field("readable"))
    identities = rows["id"].to_pylist()
    comparable = pc.and_(
        pc.less(rows["dominant_share"], BLANK_SHARE),
        pc.greater_equal(pc.min_element_wise(rows["width"], rows["height"]), LEAST_SIDE),
    ).to_numpy(zero_copy_only=False)
    first_row: dict[str, int] = {}
    for row in np.flatnonzero(comparable).tolist():
        first_row.setdefault(identities[row], row)
    chosen = rows.take(pa.array(list(first_row.values()), pa.int64()))
    alike = LookAlikes(
        chosen["perceptual_hash"].to_numpy(),
        np.frombuffer(b"".join(chosen["sketch"].to_pylist()), dtype=np.int8).reshape(chosen.num_rows, -1)
        if chosen.num_rows
        else np.zeros((0, 1), dtype=np.int8),
    )
    alike = _confirmable(alike, chosen, workers)
    position = {identity: place for place, identity in enumerate(first_row)}
    return ReadablePictures(
        path=rows["path"].to_pylist(),
        label=rows["label"].to_pylist(),
        split=rows["split"].to_pylist(),
        id=identities,
        alike=alike,
        position=position,
        clusters=_cluster_of_rows(identities, position, list(first_row.values()), alike.clusters()),
    )


def _confirmable(alike: LookAlikes, chosen: pa.Table, workers: int) -> LookAlikes:
    """The same with the details of those that have a look-alike."""
    labels = alike.clusters()
    members = np.flatnonzero(np.bincount(labels, minlength=len(labels))[labels] > 1)
    if not 0 < len(members) <= MOST_CONFIRMED:
        return alike
    found = list(map_in_workers(details_of, places_of(chosen.take(pa.array(members))), workers=workers))
    seen = [number for number, details in enumerate(found) if details is not None]
    rows = np.full(len(labels), -1)
    rows[members[seen]] = np.arange(len(seen))
    details = np.array([found[number] for number in seen], np.int8).reshape(-1, SIDE, SIDE)
    return dataclasses.replace(alike, details=details, detail_row=rows)


def _cluster_of_rows(
    identities: list[str], position: dict[str, int], first_rows: list[int], labels: np.ndarray
) -> list[int]:
    sizes = np.bincount(labels, minlength=len(labels))
    return [
        first_rows[labels[place]] if (place := position.get(identity, -1)) >= 0 and sizes[labels[place]] > 1 else -1
        for identity in identities
    ]


def near_pairs(pictures: ReadablePictures, side_of: Callable[[int], str | None]) -> list[tuple[int, int]]:
    """Near duplicates with different, known sides: every row with its most similar one of another side, once.

    Returns:
        Pairs of rows, the side that comes first in `train, val, test` or the alphabet first.
    """
    pairs: dict[tuple[int, int], None] = {}
    for rows in pictures.look_alikes():
        sides: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            if (side := side_of(row)) is not None:
                sides[side].append(row)
        for one, other in itertools.combinations(sorted(sides, key=_side_order), 2):
            pairs |= dict.fromkeys(_nearest(pictures, sides[one], sides[other]))
    return list(pairs)


def _side_order(side: str) -> tuple[int, str]:
    known = ("train", "val", "test")
    return (known.index(side) if side in known else len(known), side)


def _nearest(pictures: ReadablePictures, ones: list[int], others: list[int]) -> Iterator[tuple[int, int]]:
    """For every row of `others`, the most similar of `ones` if it is near enough and not the very same content."""
    places = np.array([pictures.position[pictures.id[row]] for row in ones])
    for other in others:
        place = np.full(len(places), pictures.position[pictures.id[other]])
        near = pictures.alike.alike(places, place) & (places != place)
        if near.any():
            candidates = np.flatnonzero(near)
            similarity = pictures.alike.similarity(places[candidates], place[candidates])
            yield ones[candidates[int(similarity.argmax())]], other


def _grouped(keys: list, rows: range | list[int]) -> list[list[int]]:
    """Rows with equal keys together, where there are at least two."""
    groups: dict[object, list[int]] = defaultdict(list)
    for row in rows:
        groups[keys[row]].append(row)
    return [group for group in groups.values() if len(group) > 1]
