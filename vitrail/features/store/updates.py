"""Rows that were in a store before a pass, and what the data says of their images now.

A row belongs to a place, path and frame. Another label or split is taken over; another content gets a new row, and the
old one goes. Shards are rewritten one by one, so that a process that dies here is followed by one that finishes.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from vitrail.data.columns import Place, places_of
from vitrail.data.identity import KnownImages
from vitrail.data.image_list import ImageList
from vitrail.data.place_map import PlaceMap
from vitrail.features.store.manifest import Output
from vitrail.features.store.shards import keep_in_shard, rewrite_shard, shard_groups

_POSITION_BYTES = 8
_SAID = ("label", "split")


@dataclass(frozen=True)
class Changes:
    """What became of the rows that were there.

    Attributes:
        relabelled: got another label or split.
        replaced: went, because the image has another content now.
        elsewhere: belong to images that are not in the data.
    """

    relabelled: int = 0
    replaced: int = 0
    elsewhere: int = 0

    def words(self) -> str:
        """The counts in text, where there are any."""
        counts = {
            "have another label or split now": self.relabelled,
            "replaced, the image has changed": self.replaced,
            "of images that are not in this data": self.elsewhere,
        }
        return "; ".join(f"{count:,} {text}" for text, count in counts.items() if count)


def stored_images(folder: Path, shards: Iterable[int]) -> Iterator[tuple[Place, str]]:
    """Place and id of every row of some shards."""
    for number in shards:
        for group in shard_groups(folder, number, ["id", "path", "frame"]):
            yield from zip(places_of(group), group["id"].to_pylist(), strict=True)


def take_over_labels(
    folder: Path, shards: range, outputs: Sequence[Output], *, images: ImageList, index: Path
) -> Changes:
    """Give rows the labels and splits that the data has for their images. Where it has none, they keep theirs.

    Args:
        folder: the store's.
        shards: numbers of those that were there.
        outputs: the store's.
        images: the data.
        index: a file for the places of the data, written here.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    positions = ((place, number.to_bytes(_POSITION_BYTES, "big")) for number, place in enumerate(images.places()))
    places = PlaceMap.write(index, positions if shards else (), width=_POSITION_BYTES)
    relabelled = elsewhere = 0
    for shard in shards:
        differing = 0
        for group in shard_groups(folder, shard, ["path", "frame", *_SAID]):
            said, found = _said_now(group, images, places)
            differing += _differing(group, said)
            elsewhere += group.num_rows - found
        if differing:
            now = (_relabelled(group, images, places) for group in shard_groups(folder, shard))
            rewrite_shard(folder, shard, outputs, now)
        relabelled += differing
    return Changes(relabelled=relabelled, elsewhere=elsewhere)


def drop_replaced(
    folder: Path, shards: range, outputs: Sequence[Output], *, written: range, known: KnownImages, index: Path
) -> int:
    """Drop the rows whose image has a newer one, of another content; return how many.

    Args:
        folder: the store's.
        shards: numbers of those that were there.
        outputs: the store's.
        written: numbers of those that were added.
        known: the images of the former.
        index: a file for the images that have newer rows, written here.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    if not len(known):
        return 0
    newer = KnownImages.write(index, (image for image in stored_images(folder, written) if known.ids(image[0])))
    dropped = 0
    for shard in shards if len(newer) else ():
        stale = np.array([bool(newer.ids(place)) for place, _ in stored_images(folder, [shard])], bool)
        if stale.any():
            keep_in_shard(folder, shard, outputs, np.flatnonzero(~stale))
            dropped += int(stale.sum())
    return dropped


def _said_now(group: pa.Table, images: ImageList, places: PlaceMap) -> tuple[pa.Table, int]:
    """Label and split of every row as they should be, and of how many rows the data has the image."""
    positions = [places[place] for place in places_of(group)]
    wanted = sorted({int.from_bytes(each, "big") for each in itertools.chain.from_iterable(positions)})
    listed = images.rows(np.array(wanted, np.int64)).select(_SAID).to_pylist() if wanted else []
    said = dict(zip(wanted, listed, strict=True))
    now = [
        _said([said[int.from_bytes(each, "big")] for each in found], was)
        for found, was in zip(positions, group.select(_SAID).to_pylist(), strict=True)
    ]
    return pa.Table.from_pylist(now, pa.schema([(name, pa.string()) for name in _SAID])), sum(map(bool, positions))


def _said(listed: list[dict], was: dict) -> dict:
    """What an image's rows in the data say; one that is listed several times may agree with any of them."""
    filled = [{name: was[name] if row[name] is None else row[name] for name in _SAID} for row in listed]
    return was if not filled or was in filled else filled[-1]


def _differing(group: pa.Table, now: pa.Table) -> int:
    return sum(a != b for a, b in zip(group.select(_SAID).to_pylist(), now.to_pylist(), strict=True))


def _relabelled(group: pa.Table, images: ImageList, places: PlaceMap) -> pa.Table:
    now, _ = _said_now(group, images, places)
    for name in _SAID:
        group = group.set_column(group.schema.get_field_index(name), name, now[name])
    return group
