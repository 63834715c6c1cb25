"""An inspection under way: worker processes read images while the caller does something else."""

import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from vitrail.basics.events import Emit, WorkAdvanced, WorkEnded, WorkStarted, nobody, watched
from vitrail.data.inspection.examine import FileFacts, examine_place
from vitrail.data.inspection.file_columns import FactColumns
from vitrail.data.inspection.passed_over_files import NOTHING, PassedOverByClass
from vitrail.data.inspection.result import Inspection, inspection_of
from vitrail.data.workers import map_in_workers

WORK = "reading images"
"""The name under which progress is told."""

_SECONDS_BETWEEN_EVENTS = 0.1


def begin_inspection(
    table: pa.Table, *, workers: int, empty_classes: tuple[str, ...] = (), passed_over: PassedOverByClass = NOTHING
) -> "PendingInspection":
    """Start reading every image of an image table in worker processes, and return at once.

    Args:
        table: an image table (see `image_table`).
        workers: number of processes; 0 reads in this process, when the result is asked for.
        empty_classes: classes that were announced, by a folder say, and have no row.
        passed_over: files that are not in the table, counted by class and kind.
    """
    places = zip(table["path"].to_pylist(), table["frame"].to_pylist(), strict=True)
    facts = map_in_workers(examine_place, places, workers=workers)
    beside = {"empty_classes": empty_classes, "passed_over": passed_over, "workers": workers}
    return PendingInspection(table, facts, in_background=workers > 0, beside=beside)


class PendingInspection:
    """Images being read. Ask for `result` once; a pending inspection that is dropped stops reading."""

    def __init__(
        self,
        table: pa.Table,
        facts: Iterator[FileFacts],
        *,
        in_background: bool,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        self._table = table
        self._beside = beside or {}
        self._facts = facts
        self._columns = FactColumns()
        self._reading = _Reading(facts, self._columns) if in_background else None
        if self._reading:
            # Also called at the end of the program, which would otherwise wait for the remaining images.
            weakref.finalize(self, self._reading.stop.set)
            threading.Thread(target=self._reading.run, name="inspection", daemon=True).start()

    @property
    def done(self) -> int:
        """Number of images read so far."""
        return self._reading.done if self._reading else len(self._columns)

    def result(self, emit: Emit = nobody) -> Inspection:
        """Wait until every image was read, and draw the conclusions.

        Args:
            emit: receives progress, in the caller's thread.

        Raises:
            SystemFault: a worker process died.
        """
        if self._reading:
            self._wait(self._reading, emit)
        else:
            for facts in watched(self._facts, emit, work=WORK, total=self._table.num_rows):
                self._columns.add(facts)
        return inspection_of(self._columns.beside(self._table), **self._beside)

    def _wait(self, reading: "_Reading", emit: Emit) -> None:
        told = 0
        emit(WorkStarted(WORK, self._table.num_rows))
        try:
            while told < self._table.num_rows and not (reading.finished.is_set() and told == reading.done):
                reading.finished.wait(_SECONDS_BETWEEN_EVENTS)
                if (done := reading.done) > told:
                    emit(WorkAdvanced(WORK, by=done - told))
                    told = done
            reading.finished.wait()
        finally:
            reading.stop.set()
            emit(WorkEnded(WORK))
        if reading.fault is not None:
            raise reading.fault


class _Reading:
    """What the background thread and the caller share; the thread must not hold the pending inspection itself."""

    def __init__(self, facts: Iterator[FileFacts], columns: FactColumns) -> None:
        self._facts = facts
        self._columns = columns
        self.done = 0
        self.stop = threading.Event()
        self.finished = threading.Event()
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            for facts in self._facts:
                if self.stop.is_set():
                    break
                self._columns.add(facts)
                self.done += 1
        except BaseException as error:  # noqa: BLE001 — raised again by `result`, in the caller's thread
            self.fault = error
        finally:
            self.finished.set()
