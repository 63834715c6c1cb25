"""Writing a feature store: one process at a time, whole shards or nothing, continued wherever it was stopped."""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
from jaxtyping import Float
from torch import Tensor

from vitrail.basics.errors import DamagedError, InputError
from vitrail.basics.files import explained_os_errors
from vitrail.basics.locks import locked, remove_if_unused
from vitrail.basics.replacing import REPLACED, remove, remove_partial, set_aside
from vitrail.data.identity import KnownImages
from vitrail.data.image_list import ImageList
from vitrail.features.store.block_checks import SUFFIX
from vitrail.features.store.failures import write_failures
from vitrail.features.store.manifest import FAILURES, MANIFEST, SHARDS, UNFINISHED, Manifest
from vitrail.features.store.room import drop_damaged, end_what_was_interrupted, refuse_foreign
from vitrail.features.store.shards import shard_sizes, shards_there, write_shard
from vitrail.features.store.staging import STATE, Failure, Progress, Staging
from vitrail.features.store.updates import Changes, drop_replaced, stored_images, take_over_labels

SECONDS_BETWEEN_COMMITS = 2.0
"""At most so much work is repeated after a crash; waiting for the disk after every batch would slow a pass down."""

_LISTED, _KNOWN, _NEWLY_LISTED = "images.arrow", "known.bin", "images-new.arrow"
_PLACES, _REPLACED = "places.bin", "replaced.bin"


@dataclass(frozen=True)
class Span:
    """What one batch took from the list of images.

    Attributes:
        positions: of its rows in the list.
        ids: of its rows.
        failures: images that were met on the way and cannot be read.
        end: position behind the last image that was looked at.
    """

    positions: tuple[int, ...]
    ids: tuple[str, ...]
    failures: tuple[Failure, ...]
    end: int


class StoreWriter:
    """A store's folder, locked against other processes until the end of a `with` block.

    A pass is `list_images`, `begin`, any number of `write`s, `finish`. A block that ends before `begin` leaves no
    trace.

    Attributes:
        folder: the store's.
        changes: what became of the rows that were there; whole after `finish`.
        recovered: what was not as it had been written, and what was done about it, in sentences.
    """

    def __init__(self, folder: Path, lock: filelock.FileLock) -> None:
        self.folder = folder
        self.changes = Changes()
        self.recovered: list[str] = []
        self._lock = lock
        self._staging: Staging | None = None
        self._committed_at = time.monotonic()

    @classmethod
    def open(cls, folder: Path) -> "StoreWriter":
        """Lock the folder, which is made where it is not there.

        Raises:
            InputError: something else than a store stands there, a newer Vitrail's store, or another process is
                working on it.
            SystemFault: the place may not be written.
        """
        refuse_foreign(folder)
        with explained_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = locked(folder, thing="feature store")
            end_what_was_interrupted(folder)
            (folder / UNFINISHED).mkdir(exist_ok=True)
            for place in (folder, folder / SHARDS, folder / UNFINISHED):
                remove_partial(place)
        return cls(folder, lock)

    @property
    def manifest(self) -> Manifest | None:
        """That of the store that stands here, finished or not."""
        return Manifest.read(self.folder) if (self.folder / MANIFEST).exists() else None

    @property
    def known(self) -> Path:
        """File of the `KnownImages` of the store when the pass began; absolute, for worker processes."""
        return (self._work / _KNOWN).absolute()

    @property
    def rows_there(self) -> int:
        """Rows that are in the store, or wait to be, before the pass begins."""
        count = waiting.rows if (waiting := Staging.stored(self._work)) else 0
        with contextlib.suppress(DamagedError):  # `begin` makes room for the rows of damaged shards
            count += sum(shard_sizes(self.folder, shards_there(self.folder)))
        return count

    def list_images(self, data: Any) -> ImageList:
        """The images of a data set; see `ImageList.write` for what it may be and for the errors."""
        return ImageList.write(data, self._work / _NEWLY_LISTED)

    def is_continued_by(self, images: ImageList) -> bool:
        """Whether an unfinished pass through exactly these images stands here."""
        progress = Staging.stored(self._work)
        return self.manifest is not None and progress is not None and progress.images == images.digest

    def seen_of(self, images: ImageList) -> int:
        """How many of these images an unfinished pass has looked at."""
        progress = Staging.stored(self._work)
        return progress.position if progress is not None and self.is_continued_by(images) else 0

    def begin(self, asked: Manifest, images: ImageList, *, overwrite: bool) -> int:
        """Begin a pass, or continue the one that was interrupted.

        Args:
            asked: how rows are made.
            images: what `list_images` gave.
            overwrite: a store that was made in another way, or is finished, is replaced.

        Returns:
            Position of the first image that is still to be looked at.

        Raises:
            InputError: the store that stands here was made in another way.
            SystemFault: the disk is full or may not be written.
        """
        before = self.manifest
        if before is not None and not overwrite:
            before.refuse_other(asked, self.folder)
        with explained_os_errors(self.folder):
            if before is None and not overwrite and shards_there(self.folder):
                raise InputError(
                    f"{self.folder}: shards stand there without their {MANIFEST}",
                    hint="put it back, choose another --out, or replace the store with --overwrite",
                )
            continued = before is not None and before.identity() == asked.identity() and self.is_continued_by(images)
            if before is None or (overwrite and not continued):
                self._set_aside()
                before = None
            elif not continued:
                self._settle(before)
            if before is not None:
                self.recovered += drop_damaged(self.folder, before.outputs)
            (self._work / _NEWLY_LISTED).replace(self._work / _LISTED)
            self._images = ImageList(self._work / _LISTED)
            self._begun = _merged(before, asked)
            self._staging = self._opened_staging(images.digest)
            self._begun.write(self.folder)
            before_it = range(self._staging.progress.first_shard)
            KnownImages.write(self.known, stored_images(self.folder, before_it))
            self.changes = take_over_labels(
                self.folder, before_it, self._begun.outputs, images=self._images, index=self._work / _PLACES
            )
            self._seal_if_full()
        return self._staging.progress.position

    def write(self, span: Span, outputs: Sequence[Float[Tensor, "B ..."]]) -> None:
        """Add the rows of one batch. They count once they are on disk, a second or two later.

        Raises:
            InputError: a number is too large for the way it is kept.
            SystemFault: the disk is full; what was committed before is kept.
        """
        staging = self._open_staging
        with explained_os_errors(self.folder):
            if span.positions:
                staging.append(span.positions, span.ids, outputs)
            staging.fail(span.failures)
            staging.reach(span.end)
            if time.monotonic() - self._committed_at > SECONDS_BETWEEN_COMMITS:
                self.commit()
            self._seal_if_full()

    def commit(self) -> None:
        """Put everything written so far on disk.

        Raises:
            SystemFault: the disk is full.
        """
        with explained_os_errors(self.folder):
            self._open_staging.commit()
        self._committed_at = time.monotonic()

    def finish(self) -> Manifest:
        """Write the last shard, drop the rows of images that have newer ones, and write failures and manifest.

        Raises:
            SystemFault: the disk is full; the same call continues.
        """
        staging = self._open_staging
        with explained_os_errors(self.folder):
            staging.commit()
            if staging.progress.rows:
                self._seal()
            self._drop_replaced(staging.progress)
            seen = staging.progress.position
            failures = write_failures(self.folder, self._images, seen, staging.failures())
            shards = shard_sizes(self.folder, staging.progress.shard)
            finished = dataclasses.replace(self._begun, shards=shards, failures=failures)
            finished.write(self.folder)
            (self._work / STATE).unlink()
            remove(self.folder / REPLACED)
        return finished

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._staging is not None:
            self._staging.close()
        with contextlib.suppress(OSError):
            self._clear()
        self._lock.release()

    def _clear(self) -> None:
        """Remove what no later call needs."""
        (self._work / _NEWLY_LISTED).unlink(missing_ok=True)
        if not (self._work / STATE).exists():
            shutil.rmtree(self._work, ignore_errors=True)
        remove_if_unused(self.folder)

    @property
    def _work(self) -> Path:
        return self.folder / UNFINISHED

    @property
    def _open_staging(self) -> Staging:
        assert self._staging is not None, "begin was not called"
        return self._staging

    def _opened_staging(self, images: str) -> Staging:
        """What the pass goes on from; where that is damaged, it looks at its images again and knows those in shards."""
        number = shards_there(self.folder)
        anew = Progress(images, first_shard=number, shard=number)
        if (progress := Staging.stored(self._work)) is None and (self._work / STATE).exists():
            self.recovered.append(f"{self._work / STATE} is damaged: rows that waited for a shard are computed again")
        try:
            staging = Staging(self._work, self._begun.outputs, progress or anew)
        except DamagedError as error:
            self.recovered.append(f"{error.message}: rows that waited for a shard are computed again")
            staging = Staging(self._work, self._begun.outputs, anew)
        staging.commit()
        return staging

    def _settle(self, before: Manifest) -> None:
        """Bring a pass through other images to an end where it is: what it computed is kept."""
        if (progress := Staging.stored(self._work)) is None:
            return
        self._images, self._begun = ImageList(self._work / _LISTED), before
        try:
            self._staging = Staging(self._work, before.outputs, progress)
        except DamagedError as error:
            self.recovered.append(f"{error.message}: rows that waited for a shard are lost")
            (self._work / STATE).unlink()
            return
        self.finish()
        self._staging.close()

    def _drop_replaced(self, progress: Progress) -> None:
        before, written = range(progress.first_shard), range(progress.first_shard, progress.shard)
        known, index = KnownImages(self.known), self._work / _REPLACED
        dropped = drop_replaced(self.folder, before, self._begun.outputs, written=written, known=known, index=index)
        self.changes = dataclasses.replace(self.changes, replaced=dropped)

    def _set_aside(self) -> None:
        """Keep the store that stands here in a folder of its own until the one that replaces it is finished."""
        (self._work / STATE).unlink(missing_ok=True)
        remove(self.folder / UNFINISHED / _LISTED)
        set_aside(self.folder, [SHARDS, FAILURES, FAILURES + SUFFIX, MANIFEST])

    def _seal_if_full(self) -> None:
        if self._open_staging.progress.rows >= self._begun.rows_per_shard:
            self._open_staging.commit()
            self._seal()

    def _seal(self) -> None:
        write_shard(self.folder, self._begun.outputs, self._open_staging, self._images)
        self._open_staging.next_shard()
        self._committed_at = time.monotonic()


def _merged(before: Manifest | None, asked: Manifest) -> Manifest:
    """The manifest of a store that goes on: what was measured and decided when it was begun stays."""
    if before is None:
        return asked
    new = tuple(each for each in asked.versions if each not in before.versions)
    return dataclasses.replace(before, versions=before.versions + new)
