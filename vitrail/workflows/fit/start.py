"""The beginning of a fit, without torch: what can be refused is refused, and the images are being read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.run_standing import refuse_occupied, unused_run_path
from vitrail.basics.stopwatch import Stopwatch
from vitrail.workflows.check import StartedCheck, begin_check


@dataclass(frozen=True)
class StartedFit:
    """A fit whose images are being read. `watch` runs since the beginning."""

    check: StartedCheck
    out: Path
    overwrite: bool
    watch: Stopwatch


def start_fit(data: Any, *, out: str | Path | None, overwrite: bool, workers: int | None) -> StartedFit:
    """Find the images and a free run folder, and start reading.

    Raises:
        InputError: there are no images, or a finished run stands in `out` and may not be replaced.
    """
    watch = Stopwatch()
    if out is not None:
        refuse_occupied(Path(out), overwrite=overwrite)
    check = begin_check(data, workers=workers)
    run = Path(out) if out is not None else unused_run_path(check.images.name, parent=Path("runs"))
    return StartedFit(check, run, overwrite, watch)
