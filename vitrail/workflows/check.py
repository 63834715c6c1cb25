"""`vitrail check`: look at a data set before anything is computed on it. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from vitrail.basics.events import Emit, nobody
from vitrail.data.image_table import ImageTable, read_image_table
from vitrail.data.inspection import Inspection, PendingInspection, begin_inspection
from vitrail.data.workers import usable_cores


@dataclass(frozen=True)
class StartedCheck:
    """A check whose worker processes are already reading images; `pending.result()` waits for them."""

    images: ImageTable
    pending: PendingInspection
    workers: int


def begin_check(data: Any, *, workers: int | None = None) -> StartedCheck:
    """Read the image table and start reading its images in the background.

    Args:
        data: whatever `read_image_table` takes.
        workers: processes; None: one per core, at most 16.

    Raises:
        InputError: there are no images, or the table is not as expected.
    """
    processes = min(usable_cores(), 16) if workers is None else workers
    images = read_image_table(data, workers=processes)
    pending = begin_inspection(
        images.rows, workers=processes, empty_classes=images.empty_classes, passed_over=images.passed_over
    )
    return StartedCheck(images, pending, processes)


def check(data: Any, *, workers: int | None = None, emit: Emit = nobody) -> Inspection:
    """Everything the check finds about a data set; see `begin_check` for arguments and errors."""
    return begin_check(data, workers=workers).pending.result(emit)
