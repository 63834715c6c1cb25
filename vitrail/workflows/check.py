"""`vitrail check`: look at a data set before anything is computed on it. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit
from vitrail.data.image_table import ImageTable, read_image_table
from vitrail.data.inspection import Inspection, PendingInspection, begin_inspection
from vitrail.data.inspection.trained_on import trained_on_finding
from vitrail.data.workers import usable_cores
from vitrail.models.package_parts import sealed_files
from vitrail.models.parts.seen import Seen
from vitrail.models.run_package import package_of
from vitrail.pages.progress import sink_or_bars


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


def check(
    data: Any, *, workers: int | None = None, against: str | Path | None = None, emit: Emit | None = None
) -> Inspection:
    """Look at a data set: classes, splits, unreadable files, duplicates, leaks, telltale file properties.

    Args:
        data: a folder, a CSV or Parquet file, a pyarrow table, a pandas frame, one of these with column names of its
            own (`table`), or `"digits"`.
        workers: processes that read images; None: one per core.
        against: a package, or the run that made it: a finding says which images it was trained on.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.

    Returns:
        Findings by severity, a summary, and the table with what was learned of every file; `print` shows them.

    Raises:
        InputError: there is no such data, it holds no images, or a column is missing.
        PackageError: `against` is no package, is damaged, or does not know what it was trained on.
    """
    seen = None if against is None else sealed_files(package_of(Path(against).expanduser())).part(Seen)
    with sink_or_bars(emit) as emit:
        inspection = begin_check(data, workers=workers).pending.result(emit)
    if seen is None:
        return inspection
    trained_on = seen.overlap(inspection.table["id"].to_pylist())
    return inspection.with_finding(trained_on_finding(inspection.table, trained_on, of=len(seen)))
