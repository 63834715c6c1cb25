"""Looking at images one after the other: pictures and figures go to the folder as they come, memory stays small."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.events import Emit, WorkAdvanced, WorkEnded, WorkStarted
from vitrail.basics.printable import printable
from vitrail.data.given_pictures import GivenPictures, ReadPicture, read_pictures
from vitrail.data.preprocessing import Preprocessing
from vitrail.evaluation.look_folder import PICTURES, LookFolder, Record, file_stamp, image_key
from vitrail.evaluation.look_settings import LookSettings
from vitrail.evaluation.looked_images import figures_of, page_pictures, png_of
from vitrail.features.attention.looking import AT_ONCE, LookedAt, Looker

Waiting = tuple[int, str, str]
"""Number, key and path of an image."""


@dataclass
class Looked:
    """What a call looked at.

    Attributes:
        images: how many are finished, those of earlier calls too.
        earlier: how many of them were finished before.
        unread: by path, why an image could not be read.
        shown: figures of the first images.
        pictures: of the same, for the page; one of an earlier call has none.
        sums, counts: of attention distances by layer and head, in patches, over all images.
    """

    images: int = 0
    earlier: int = 0
    unread: dict[str, str] = field(default_factory=dict)
    shown: list[Record] = field(default_factory=list)
    pictures: list[list[dict[str, str]]] = field(default_factory=list)
    sums: Float[np.ndarray, "L N"] | float = 0.0
    counts: Any = 0

    @property
    def distances(self) -> Float[np.ndarray, "L N"]:
        """Their means; NaN for a head that never looked at a patch."""
        counts = np.asarray(self.counts, dtype=np.float64)
        return np.divide(self.sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def look_through(
    looker: Looker,
    given: GivenPictures,
    shown: Preprocessing,
    folder: LookFolder,
    settings: LookSettings,
    *,
    workers: int | None,
    emit: Emit,
) -> Looked:
    """Look at all images that the folder does not know yet, and gather what it holds.

    Args:
        looker: the model.
        given: the images.
        shown: how the model sees them.
        folder: receives a picture and a line of each; what it has is not computed again.
        workers: processes that decode; None: none for few images.

    Raises:
        SystemFault: the disk is full, or a worker died; what is finished stays.
    """
    looked, waiting = Looked(), list[Waiting]()
    named = _unknown(given, folder, looked, waiting)
    processes = given.usual_workers() if workers is None else workers
    read = read_pictures(replace(given, named=named), shown, workers=processes)
    total = given.count
    emit(WorkStarted("looking", total))
    try:
        for batch in iter(lambda: list(itertools.islice(read, AT_ONCE)), []):
            places = [waiting.pop(0) for _ in batch]
            _look_at(looker, batch, places, folder, settings, looked)
            emit(WorkAdvanced("looking", len(batch)))
    finally:
        emit(WorkEnded("looking"))
    _gather(folder, settings, looked)
    return looked


def _unknown(
    given: GivenPictures, folder: LookFolder, looked: Looked, waiting: list[Waiting]
) -> Iterator[tuple[str, Any]]:
    """Those that are not finished; each is also put among the waiting, in the same order."""
    for number, (name, picture) in enumerate(given.named):
        key = image_key(name, picture, number)
        if folder.knows(key, file_stamp(name)):
            looked.earlier += 1
            continue
        waiting.append((number, key, name))
        yield name, picture


def _look_at(
    looker: Looker, batch: list[tuple[str, ReadPicture]], places: list[Waiting], folder: LookFolder,
    settings: LookSettings, looked: Looked,
) -> None:  # fmt: skip
    readable = []
    for (name, each), place in zip(batch, places, strict=True):
        if isinstance(each.pixels, UnreadableImageError):
            looked.unread[name] = each.pixels.message
        else:
            readable.append((each.id, each.pixels, place))
    if not readable:
        return
    judged = sum(number < settings.judged_maps for _, _, (number, _, _) in readable)
    found = looker.at(
        np.stack([pixels for _, pixels, _ in readable]), judged=judged, random_maps=settings.random_maps,
        seed=settings.seed, shares=settings.removed,
    )  # fmt: skip
    records = []
    for (identity, _, (number, key, name)), seen in zip(readable, found, strict=True):
        records.append(_record(looker, seen, number, key=key, name=name, identity=identity))
        folder.write_picture(records[-1]["picture"], png_of(seen, looker))
        if number < settings.shown:
            looked.pictures.append(page_pictures(seen, looker))
    folder.keep(records)


def _record(looker: Looker, looked: LookedAt, number: int, *, key: str, name: str, identity: str) -> Record:
    short = f"-{identity.replace(':', '-')[:12]}" if identity else ""
    picture = f"{PICTURES}/{number + 1:05d}{short}.png"
    return {
        "key": key, "stamp": file_stamp(name), "number": number, "path": name, "id": identity, "picture": picture,
        **figures_of(looked, looker),
    }  # fmt: skip


def _gather(folder: LookFolder, settings: LookSettings, looked: Looked) -> None:
    """Sums over all lines of the folder, and the figures of the first images."""
    seen: set[str] = set()
    for record in folder.records():
        if record["key"] in seen:
            continue
        seen.add(record["key"])
        values = np.array(record["distances"], dtype=np.float64)  # NumPy reads None as NaN
        known = ~np.isnan(values)
        looked.sums = looked.sums + np.where(known, values, 0)
        looked.counts = looked.counts + known
        looked.images += 1
        if record["number"] < settings.shown:
            kept = {name: value for name, value in record.items() if name not in ("distances", "key", "stamp")}
            looked.shown.append(kept | {"path": printable(record["path"])})
