"""The journal of a run: one decision per line, each with its checksum, on disk before anybody acts on it."""

import time
from pathlib import Path
from typing import Any

from vitrail.basics.checks import append_line, cut_unfinished_line, read_lines

JOURNAL = "journal.jsonl"


class Journal:
    """`journal.jsonl` in a run's folder, as it stands.

    Attributes:
        lines: the sound ones, oldest first.
        fault: what is wrong with the file, in words; None where nothing is.
    """

    def __init__(self, folder: Path) -> None:
        self.lines: list[dict[str, Any]] = []
        self.fault: str | None = None
        file = folder / JOURNAL
        try:
            read = read_lines(file)
        except OSError as error:
            self.fault = f"{JOURNAL} cannot be read: {error.strerror or error}"
            return
        self.lines = [line for line in read.values if isinstance(line.get("decision"), str)]
        if read.damaged:
            self.fault = f"line {read.damaged[0]} of {JOURNAL} is damaged"
        elif len(self.lines) < len(read.values):
            self.fault = f"{JOURNAL} holds lines that no run wrote"
        elif not self.lines:
            self.fault = f"{JOURNAL} is empty" if file.exists() else f"{JOURNAL} is missing"

    def noted(self, decision: str) -> list[dict[str, Any]]:
        """All lines with this decision, oldest first."""
        return [line for line in self.lines if line["decision"] == decision]


def note(folder: Path, decision: str, **facts: Any) -> None:
    """Append one line to a run's journal, on disk before this returns.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    line = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "decision": decision, **facts}
    append_line(folder / JOURNAL, line, flush=True)


def mend_end(folder: Path) -> None:
    """Cut off a last line that whatever killed its writer left unfinished."""
    cut_unfinished_line(folder / JOURNAL)
