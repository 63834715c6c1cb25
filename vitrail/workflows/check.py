"""`vitrail check`: look at a data set before anything is computed on it. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, nobody
from vitrail.data.image_table import ImageTable, read_image_table
from vitrail.data.inspection import Inspection, PendingInspection, begin_inspection
from vitrail.data.inspection.trained_on import trained_on_finding
from vitrail.data.workers import usable_cores
from vitrail.models.package_parts import sealed_files
from vitrail.models.parts.seen import Seen
from vitrail.models.run_package import package_of


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
    images = read_image_table(data)
    processes = min(usable_cores(), 16) if workers is None else workers
    pending = begin_inspection(
        images.rows, workers=processes, empty_classes=images.empty_classes, passed_over=images.passed_over
    )
    return StartedCheck(images, pending, processes)


def check(
    data: Any, *, workers: int | None = None, against: str | Path | None = None, emit: Emit = nobody
) -> Inspection:
    """Everything the check finds about a data set; see `begin_check` for arguments and errors.

    Args:
        data: see there.
        workers: see there.
        against: a package, or the run that made it: a finding says which images it was trained on.
        emit: receives progress.

    Raises:
        PackageError: `against` is no package, is damaged, or does not know what it was trained on.
    """
    if against is None:
        return begin_check(data, workers=workers).pending.result(emit)
    seen = sealed_files(package_of(Path(against).expanduser())).part(Seen)
    inspection = check(data, workers=workers, emit=emit)
    trained_on = seen.overlap(inspection.table["id"].to_pylist())
    return inspection.with_finding(trained_on_finding(inspection.table, trained_on, of=len(seen)))
