"""The feature pass into a store: images are read, identified, sent through the model in full batches, and kept."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from vitrail.basics.errors import SystemFault
from vitrail.basics.events import Emit, WorkAdvanced, WorkEnded, WorkStarted
from vitrail.data.image_list import ImageList
from vitrail.data.loader import IdentifiedImage, identified_pixels
from vitrail.features.feature_pass import PassMeans, walk
from vitrail.features.store.staging import Failure
from vitrail.features.store.writer import Span, StoreWriter
from vitrail.models.inputs import Pixels
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.runtime import Readout

_WORK = "computing features"


@dataclass(frozen=True)
class Counted:
    """What became of the images of a pass; those that an interrupted process had looked at are not counted.

    Attributes:
        added: rows that were written.
        known: images that were in the store already.
    """

    added: int
    known: int


def store_pass(
    ready: ReadyModel, readout: Readout, images: ImageList, writer: StoreWriter, start: int, means: PassMeans
) -> Counted:
    """Compute what `readout` reads of every image that is not in the store, from image number `start` on.

    Batches are filled in the order of the list with images that are neither known nor unreadable, so that a pass that
    was interrupted goes on with the very batches that it would have had.

    Args:
        ready: the model.
        readout: its results are the store's outputs, in their order.
        images: to be looked at.
        writer: after `begin`.
        start: what `begin` returned.
        means: how it is done.

    Raises:
        SystemFault: the disk is full, or a worker process died; the same pass continues.
    """
    read = identified_pixels(
        images.places(start), ready.preprocessing, known=writer.known, workers=means.workers
    )  # fmt: skip
    batches = _Batches(read, start, means.batch_size, means.emit)
    added = 0
    means.emit(WorkStarted(_WORK, len(images)))
    means.emit(WorkAdvanced(_WORK, start))
    try:
        with walk(ready, readout, means.runtime, batches.full()) as computed:
            for span, outputs in computed:
                writer.write(span, outputs)
                added += len(span.ids)
                means.emit(WorkAdvanced(_WORK, len(span.ids)))
        writer.write(batches.rest, ())
    except BaseException:
        with contextlib.suppress(SystemFault):  # the disk may be what stopped us
            writer.commit()
        raise
    finally:
        means.emit(WorkEnded(_WORK))
    return Counted(added, batches.known)


@dataclass
class _Batches:
    """Images that were read, grouped into batches; `rest` is what is left of the list behind the last one."""

    read: Iterator[IdentifiedImage]
    position: int
    size: int
    emit: Emit
    known: int = 0
    rest: Span = field(default_factory=lambda: Span((), (), (), 0))

    def full(self) -> Iterator[tuple[Pixels, Span]]:
        """Pictures and what they are of."""
        waiting: list[tuple[int, IdentifiedImage]] = []
        failures: list[Failure] = []
        for image in self.read:
            if image.pixels is not None:
                waiting.append((self.position, image))
            elif image.fault is not None:
                failures.append(Failure(self.position, image.id, image.fault))
            self._count(image)
            self.position += 1
            if len(waiting) == self.size:
                yield Pixels(_stacked(waiting)), self._span(waiting, failures)
                waiting, failures = [], []
        if waiting:
            yield Pixels(_stacked(waiting)), self._span(waiting, failures)
            waiting, failures = [], []
        self.rest = self._span(waiting, failures)

    def _count(self, image: IdentifiedImage) -> None:
        if image.pixels is None:
            self.known += image.fault is None
            self.emit(WorkAdvanced(_WORK, 1))

    def _span(self, waiting: Sequence[tuple[int, IdentifiedImage]], failures: list[Failure]) -> Span:
        positions, ids = [position for position, _ in waiting], [image.id for _, image in waiting]
        return Span(tuple(positions), tuple(ids), tuple(failures), self.position)


def _stacked(waiting: Sequence[tuple[int, IdentifiedImage]]) -> np.ndarray:
    return np.stack([image.pixels for _, image in waiting if image.pixels is not None])
