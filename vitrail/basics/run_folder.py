"""The run folder: everything one run leaves behind, and the journal of what was decided on the way.

`settings.json` (the resolved settings), `journal.jsonl` (one decision per line), `report.html`, `report.json`,
`answers.parquet`, `answers.csv`, `package/`, and while the run is going on `work/`, from which an interrupted run
continues.
"""

import contextlib
from pathlib import Path
from typing import Any

import filelock

from vitrail.basics.checks import read_checked_json, write_checked_json
from vitrail.basics.differences import differences, have_other_names
from vitrail.basics.errors import DamagedError, InputError, VitrailError
from vitrail.basics.events import Emit, Event, Recovered
from vitrail.basics.files import explained_os_errors, write_bytes
from vitrail.basics.journal import Journal, mend_end, note
from vitrail.basics.locks import locked, remove_if_unused
from vitrail.basics.replacing import REPLACED, bring_back, remove, remove_partial, set_aside
from vitrail.basics.run_standing import (
    SETTINGS,
    end_what_was_interrupted,
    entries_of,
    refuse_occupied,
    remove_run,
    standing_of,
)


class RunFolder:
    """One run's folder, locked against other processes until `close` or the end of a `with` block.

    A block that ends in a `VitrailError` before anything was computed leaves no trace; otherwise an interrupted run is
    continued by the next `open` with the same settings.
    """

    def __init__(self, path: Path, lock: filelock.FileLock, *, resumed: bool) -> None:
        self.path = path
        self.resumed = resumed
        self._lock = lock

    @classmethod
    def open(cls, path: Path, settings: dict[str, Any], *, overwrite: bool = False) -> "RunFolder":
        """Make a new run folder, or continue an interrupted run that has the same settings.

        Args:
            path: the folder; its parents are made.
            settings: the resolved settings, JSON-able; stored on the first open, compared on the next.
            overwrite: replace a run that stands there, once this one is finished; until then it is kept in `.replaced`.
                A folder that is not a run is never replaced.

        Raises:
            InputError: a finished run, an interrupted run with other settings, or something else stands there, or
                another process is working on it.
            SystemFault: the disk is full or the place may not be written.
        """
        with explained_os_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = locked(path, thing="run")
        try:
            with explained_os_errors(path):
                end_what_was_interrupted(path)
                resumed = _make_room(path, settings, overwrite=overwrite)
                (path / "work").mkdir(exist_ok=True)
                write_checked_json(path / SETTINGS, settings)
                mend_end(path)
            note(path, "resumed" if resumed else "started")
        except BaseException:
            with contextlib.suppress(OSError, VitrailError):
                end_what_was_interrupted(path)
            lock.release()
            raise
        return cls(path, lock, resumed=resumed)

    @property
    def work(self) -> Path:
        """Folder for what is only needed until the run is finished."""
        return self.path / "work"

    @property
    def metrics(self) -> Path:
        """The file of what was measured while training."""
        return self.path / "metrics.jsonl"

    def cleared(self, name: str) -> Path:
        """The path of `name` in this folder, with nothing there: what an interrupted run had written is removed.

        From here on the run holds a result, and is told by a file in `work` from one that is finished.
        """
        with explained_os_errors(self.path):
            write_bytes(self.work / "results-begun", b"")
            remove(self.path / name)
        return self.path / name

    def note(self, decision: str, **facts: Any) -> None:
        """Append one line to the journal, on disk before this returns."""
        note(self.path, decision, **facts)

    def journaled(self, emit: Emit) -> Emit:
        """A listener that notes in the journal what had to be made again, and passes everything on."""

        def listening(event: Event) -> None:
            if isinstance(event, Recovered):
                self.note("recovered", what=event.text)
            emit(event)

        return listening

    def noted(self, decision: str) -> dict[str, Any] | None:
        """The last journal line with this decision, from this run or the interrupted one it continues."""
        lines = self.all_noted(decision)
        return lines[-1] if lines else None

    def all_noted(self, decision: str) -> list[dict[str, Any]]:
        """All journal lines with this decision, oldest first."""
        return Journal(self.path).noted(decision)

    def begin_anew(self) -> None:
        """Forget what the interrupted run that is continued had computed and decided; the settings stay."""
        settings = _stored_settings(self.path)
        remove_run(self.path)
        with explained_os_errors(self.path):
            self.work.mkdir()
            write_checked_json(self.path / SETTINGS, settings)
        self.resumed = False
        self.note("started")

    def finish(self) -> None:
        """Mark the run as finished and remove what is no longer needed: `work/`, the run that this one replaces, and
        what killed processes had begun to write."""
        self.note("finished")
        remove_partial(self.path)
        for name in ("work", REPLACED):
            remove(self.path / name)

    def close(self) -> None:
        """Let other processes in."""
        self._lock.release()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, VitrailError) and standing_of(self.path) == "nothing":
            remove_run(self.path)
            bring_back(self.path)
            remove_if_unused(self.path)
        self.close()


class RunPart:
    """A part of a run that is itself like a run: it has a folder for its work and its own lines in the journal."""

    def __init__(self, run: RunFolder, name: str) -> None:
        self._run, self._name = run, name

    @property
    def work(self) -> Path:
        """Folder for what is only needed until the run is finished."""
        return self._run.work / self._name

    @property
    def metrics(self) -> Path:
        """The file of what was measured while training."""
        return self._run.path / f"metrics-{self._name}.jsonl"

    def note(self, decision: str, **facts: Any) -> None:
        """Append one line to the run's journal, on disk before this returns."""
        self._run.note(f"{self._name}: {decision}", **facts)

    def noted(self, decision: str) -> dict[str, Any] | None:
        """This part's last journal line with this decision."""
        return self._run.noted(f"{self._name}: {decision}")

    def all_noted(self, decision: str) -> list[dict[str, Any]]:
        """All of this part's journal lines with this decision, oldest first."""
        return self._run.all_noted(f"{self._name}: {decision}")


def _make_room(path: Path, settings: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether an interrupted run stands in `path` and is continued; raises where it must not be touched."""
    refuse_occupied(path, overwrite=overwrite)
    standing = standing_of(path)
    if standing in ("finished", "damaged"):
        set_aside(path, entries_of(path))
        return False
    if standing == "nothing":
        remove_run(path)
        return False
    try:
        before = _stored_settings(path)
        changed = differences(before, settings)
    except DamagedError:
        if not overwrite:
            raise
        before, changed = {}, [""]
    if changed and overwrite:
        remove_run(path)
        return False
    if before and have_other_names(before, settings):
        raise InputError(
            f"{path}: an interrupted run of another version of Vitrail stands there, with other settings:\n"
            + "\n".join(changed),
            hint="continue it with the version that began it, choose another --out, or begin anew with --overwrite",
        )
    if changed:
        raise InputError(
            f"{path}: an interrupted run with other settings stands there:\n" + "\n".join(changed),
            hint="repeat it with the same settings, choose another --out, or replace it with --overwrite",
        )
    return True


def _stored_settings(path: Path) -> dict[str, Any]:
    file = path / SETTINGS
    hint = "choose another --out, or begin the run anew with --overwrite"
    with explained_os_errors(file):
        return read_checked_json(file, hint=hint) if file.exists() else {}
