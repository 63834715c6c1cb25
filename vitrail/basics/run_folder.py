"""The run folder: everything one run leaves behind, and the journal of what was decided on the way.

`settings.json` (the resolved settings), `journal.jsonl` (one decision per line), `report.html`, `report.json`,
`package/`, and while the run is going on `work/`, from which an interrupted run continues.
"""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import filelock

from vitrail.basics.differences import differences
from vitrail.basics.errors import InputError, VitrailError
from vitrail.basics.files import explained_os_errors, write_json
from vitrail.basics.locks import locked, remove_if_unused

_FOLDERS = ("work", "package", "tensorboard")
_FILES = (
    "settings.json", "journal.jsonl", "splits.parquet", "metrics.jsonl", "metrics-scratch.jsonl", "report.html",
    "report.json",
)  # fmt: skip
_REPLACED = ".replaced"


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
            resumed = _make_room(path, settings, overwrite=overwrite)
            with explained_os_errors(path):
                (path / "work").mkdir(exist_ok=True)
                write_json(path / "settings.json", settings)
        except BaseException:
            lock.release()
            raise
        run = cls(path, lock, resumed=resumed)
        run.note("resumed" if resumed else "started")
        return run

    @property
    def work(self) -> Path:
        """Folder for what is only needed until the run is finished."""
        return self.path / "work"

    @property
    def metrics(self) -> Path:
        """The file of what was measured while training."""
        return self.path / "metrics.jsonl"

    def cleared(self, name: str) -> Path:
        """The path of `name` in this folder, with nothing there: what an interrupted run had written is removed."""
        shutil.rmtree(self.path / name, ignore_errors=True)
        return self.path / name

    def note(self, decision: str, **facts: Any) -> None:
        """Append one line to the journal, on disk before this returns."""
        line = json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "decision": decision, **facts})
        with explained_os_errors(self.path), open(self.path / "journal.jsonl", "a", encoding="utf-8") as journal:
            journal.write(line + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def noted(self, decision: str) -> dict[str, Any] | None:
        """The last journal line with this decision, from this run or the interrupted one it continues."""
        lines = self.all_noted(decision)
        return lines[-1] if lines else None

    def all_noted(self, decision: str) -> list[dict[str, Any]]:
        """All journal lines with this decision, oldest first."""
        return [line for line in _journal(self.path) if line["decision"] == decision]

    def begin_anew(self) -> None:
        """Forget what the interrupted run that is continued had computed and decided; the settings stay."""
        settings = _stored_settings(self.path)
        _remove_run(self.path)
        with explained_os_errors(self.path):
            self.work.mkdir()
            write_json(self.path / "settings.json", settings)
        self.resumed = False
        self.note("started")

    def finish(self) -> None:
        """Mark the run as finished and remove what is no longer needed: `work/`, the run that this one replaces, and
        what killed processes had begun to write."""
        self.note("finished")
        for entry in [entry for entry in self.path.iterdir() if _is_partial(entry)]:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.path / _REPLACED, ignore_errors=True)

    def close(self) -> None:
        """Let other processes in."""
        self._lock.release()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, VitrailError) and not _has_begun(self.path):
            _withdraw(self.path)
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


def refuse_occupied(path: Path, *, overwrite: bool) -> None:
    """Raise what `RunFolder.open` would raise for a folder that is finished or not ours; touch nothing.

    Raises:
        InputError: a finished run stands there and may not be replaced, or something that is not a run.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path}: a file stands where the run folder should be", hint="choose another --out")
    others = sorted(entry.name for entry in path.iterdir() if not _is_beginning(entry))
    if others and not (path / "journal.jsonl").exists():
        raise InputError(
            f"{path}: the folder exists, is not empty and is not a run of ours ({', '.join(others[:3])})",
            hint="choose another --out; Vitrail never replaces what it did not make",
        )
    if not overwrite and _finished(path):
        raise InputError(
            f"{path}: a finished run stands there", hint="choose another --out, or replace it with --overwrite"
        )


def interrupted_note(path: Path, decision: str) -> dict[str, Any] | None:
    """The last journal line with this decision of an interrupted run in `path`; None where there is none."""
    lines = [line for line in _journal(path) if line["decision"] == decision]
    return lines[-1] if lines and _has_begun(path) else None


def unused_run_path(name: str, *, parent: Path) -> Path:
    """`parent/name`, or `parent/name-2`, `-3` … when a finished run stands there."""
    candidate, number = parent / name, 1
    while candidate.exists() and _finished(candidate):
        number += 1
        candidate = parent / f"{name}-{number}"
    return candidate


def _is_beginning(entry: Path) -> bool:
    """Whether this is what a run leaves that was killed before it wrote its first line."""
    if entry.name in (".lock", "settings.json", _REPLACED) or _is_partial(entry):
        return True
    return entry.name == "work" and entry.is_dir() and not any(entry.iterdir())


def _is_partial(entry: Path) -> bool:
    """Whether this is a file or folder that a killed process was writing."""
    return entry.name.startswith(".") and entry.name.endswith(".partial")


def _make_room(path: Path, settings: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether an interrupted run stands in `path` and is continued; raises where it must not be touched."""
    refuse_occupied(path, overwrite=overwrite)
    if _finished(path):
        _set_aside(path)
        return False
    if not _has_begun(path):
        _remove_run(path)
        return False
    changed = differences(_stored_settings(path), settings)
    if changed and overwrite:
        _remove_run(path)
        return False
    if changed:
        raise InputError(
            f"{path}: an interrupted run with other settings stands there:\n" + "\n".join(changed),
            hint="repeat it with the same settings, choose another --out, or replace it with --overwrite",
        )
    return True


def _has_begun(path: Path) -> bool:
    """Whether an unfinished run has computed anything that is worth keeping."""
    work = path / "work"
    return not _finished(path) and work.is_dir() and any(work.iterdir())


def _stored_settings(path: Path) -> dict[str, Any]:
    file = path / "settings.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _finished(path: Path) -> bool:
    return any(line["decision"] == "finished" for line in _journal(path))


def _journal(path: Path) -> list[dict[str, Any]]:
    """The journal's lines; a last line cut short by a crash is left out."""
    file = path / "journal.jsonl"
    if not file.exists():
        return []
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def _remove_run(path: Path) -> None:
    """Remove what an unfinished run left, and nothing else: neither what others put there nor a replaced run."""
    for name in _FOLDERS:
        shutil.rmtree(path / name, ignore_errors=True)
    for name in _FILES:
        (path / name).unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    """Keep a finished run in a folder of its own until the one that replaces it is finished too."""
    shutil.rmtree(path / _REPLACED, ignore_errors=True)
    (path / _REPLACED).mkdir()
    for name in (*_FOLDERS, *_FILES):
        if (path / name).exists():
            os.replace(path / name, path / _REPLACED / name)


def _withdraw(path: Path) -> None:
    """Leave things as if the run had never been started: what it was to replace comes back."""
    _remove_run(path)
    if (path / _REPLACED).is_dir():
        for entry in (path / _REPLACED).iterdir():
            os.replace(entry, path / entry.name)
        (path / _REPLACED).rmdir()
    else:
        remove_if_unused(path)
