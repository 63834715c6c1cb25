"""`metrics.jsonl`: every record of a training run, one JSON object per line, also of a run that was interrupted."""

import json
from pathlib import Path

from vitrail.basics.files import explained_os_errors, write_bytes
from vitrail.training.records import EpochDone, StepsDone


class MetricsFile:
    """Appends records; what stands there from beyond the checkpoint that a run resumes from is removed first.

    Args:
        path: the file.
        stages: names of the stages in order.
        stage: number of the stage, and `step` within it, up to which lines are kept.
    """

    def __init__(self, path: Path, stages: list[str], *, stage: int, step: int) -> None:
        self._path = path
        if path.exists():
            write_bytes(path, "".join(_kept(path, stages, stage, step)).encode())

    def add(self, record: StepsDone | EpochDone) -> None:
        """Append one record.

        Raises:
            SystemFault: the disk is full or may not be written.
        """
        with explained_os_errors(self._path), open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record.as_json()) + "\n")


def _kept(path: Path, stages: list[str], stage: int, step: int) -> list[str]:
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break  # cut short by whatever killed the run
        if (stages.index(record["stage"]), record["step"]) > (stage, step):
            break
        kept.append(line)
    return kept
