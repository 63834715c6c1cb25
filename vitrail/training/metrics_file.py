"""`metrics.jsonl`: every record of a training run, one JSON object per line, also of a run that was interrupted."""

from pathlib import Path
from typing import Any

from vitrail.basics.checks import append_line, checked_line, read_lines
from vitrail.basics.events import Emit, Recovered, nobody
from vitrail.basics.files import explained_os_errors, write_bytes
from vitrail.training.records import EpochDone, StepsDone


class MetricsFile:
    """Appends records; what stands there from beyond the checkpoint that a run resumes from is removed first.

    Args:
        path: the file.
        stages: names of the stages in order.
        stage: number of the stage, and `step` within it, up to which lines are kept.
        history: the records of all epochs up to there, which are put back where their lines are damaged.
        emit: told of damaged lines.
    """

    def __init__(
        self,
        path: Path,
        stages: list[str],
        *,
        stage: int,
        step: int,
        history: list[dict[str, Any]] | None = None,
        emit: Emit = nobody,
    ) -> None:
        self._path = path
        if not path.exists():
            return
        with explained_os_errors(path):
            found = read_lines(path)
        places = {name: number for number, name in enumerate(stages)}
        kept = [record for record in found.values if _place(record, places) <= (stage, step)]
        lost = [record for record in history or [] if record not in kept] if found.damaged else []
        if found.damaged:
            epochs = f"; the records of {len(lost)} epochs were put back from the checkpoint" if lost else ""
            lines = "1 line is" if len(found.damaged) == 1 else f"{len(found.damaged)} lines are"
            emit(Recovered(f"damaged  {path}: {lines} not what was written, and left out{epochs}"))
        # sorted: put back where they belong; stable, so that an epoch's record stays behind those of its steps
        whole = sorted([*kept, *lost], key=lambda record: _place(record, places))
        write_bytes(path, b"".join(map(checked_line, whole)))

    def add(self, record: StepsDone | EpochDone) -> None:
        """Append one record.

        Raises:
            SystemFault: the disk is full or may not be written.
        """
        append_line(self._path, record.as_json())


def _place(record: dict[str, Any], stages: dict[str, int]) -> tuple[int, int]:
    """Stage and step of a record; behind everything where it is none of this run's."""
    stage, step = stages.get(record.get("stage", "")), record.get("step")
    return (len(stages) + 1, 0) if stage is None or not isinstance(step, int) else (stage, step)
