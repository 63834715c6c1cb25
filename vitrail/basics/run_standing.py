"""What stands in a folder that a run is to be made in, and what may be done with it: nothing finished is ever lost."""

import contextlib
from pathlib import Path
from typing import Any, Literal

from vitrail.basics.errors import InputError
from vitrail.basics.files import explained_os_errors
from vitrail.basics.journal import JOURNAL, Journal
from vitrail.basics.locks import LOCK_NAME, locked
from vitrail.basics.replacing import BEING_MOVED, REPLACED, bring_back, is_partial, put_back, remove

RESULTS = ("package", "report.html", "report.json", "answers.parquet", "answers.csv")
"""What a run is made for: where any of it stands, nothing is removed unless somebody asked."""
SETTINGS = "settings.json"

Standing = Literal["nothing", "interrupted", "finished", "damaged"]
"""What may stand in a folder: damaged is what holds results or work, and no journal that says how to go on."""


def refuse_occupied(path: Path, *, overwrite: bool) -> None:
    """Raise what `RunFolder.open` would raise for a folder that is finished or not ours.

    A finished run that somebody was killed over while it made room is put back; nothing else is touched.

    Raises:
        InputError: a finished run stands there and may not be replaced, or something that is not a run.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path}: a file stands where the run folder should be", hint="choose another --out")
    if any((path / name).is_dir() for name in (BEING_MOVED, REPLACED)):
        _end_what_others_interrupted(path)
    others = sorted(entry.name for entry in path.iterdir() if not _is_beginning(entry))
    if others and not (path / JOURNAL).exists():
        raise InputError(
            f"{path}: the folder exists, is not empty and is not a run of ours ({', '.join(others[:3])})",
            hint="choose another --out; Vitrail never replaces what it did not make",
        )
    standing = standing_of(path)
    if not overwrite and standing == "finished":
        raise InputError(
            f"{path}: a finished run stands there", hint="choose another --out, or replace it with --overwrite"
        )
    if not overwrite and standing == "damaged":
        fault = (
            Journal(path).fault or "its journal does not say that it was finished, and nothing is left to go on from"
        )
        raise InputError(
            f"{path}: a run stands there that cannot be continued: {fault}",
            hint="nothing was changed; choose another --out, or replace the run with --overwrite",
        )


def refuse_run(path: Path) -> None:
    """Raise where a run stands in a folder that something else is to be written to.

    Raises:
        InputError: it does.
    """
    if (path / JOURNAL).exists() or (path / "package").exists():
        raise InputError(f"{path}: a run stands there, whose report would be replaced", hint="choose another --out")


def interrupted_note(path: Path, decision: str) -> dict[str, Any] | None:
    """The last journal line with this decision of an interrupted run in `path`; None where there is none."""
    lines = Journal(path).noted(decision)
    return lines[-1] if lines and standing_of(path) == "interrupted" else None


def unused_run_path(name: str, *, parent: Path) -> Path:
    """`parent/name`, or `parent/name-2`, `-3` … when a finished run stands there, or one that cannot be continued."""
    candidate, number = parent / name, 1
    while candidate.exists() and standing_of(candidate) in ("finished", "damaged"):
        number += 1
        candidate = parent / f"{name}-{number}"
    return candidate


def _is_beginning(entry: Path) -> bool:
    """Whether this is what a run leaves that was killed before it wrote its first line."""
    if entry.name in (LOCK_NAME, SETTINGS, REPLACED, BEING_MOVED) or is_partial(entry):
        return True
    return entry.name == "work" and entry.is_dir() and not any(entry.iterdir())


def standing_of(path: Path) -> Standing:
    """What stands in `path`. Whatever has a result is never called nothing, however broken the rest is."""
    journal = Journal(path)
    if journal.noted("finished") or (path / BEING_MOVED).is_dir():
        return "finished"
    work = path / "work"
    has_work = work.is_dir() and any(work.iterdir())
    if has_work and journal.fault is None:
        return "interrupted"
    has_result = any((path / name).exists() for name in RESULTS)
    return "damaged" if has_work or has_result else "nothing"


def end_what_was_interrupted(path: Path) -> None:
    """Put back a run that was making room, or had made room for one that came to nothing; the caller holds the lock."""
    put_back(path)
    if not (path / REPLACED).is_dir():
        return
    if standing_of(path) == "nothing":
        remove_run(path)
        bring_back(path)
    # An earlier version moved entries one by one and could be killed between them.
    elif not any((path / name).exists() for name in RESULTS) and (path / REPLACED / "package").exists():
        there = {entry.name for entry in path.iterdir()}
        if standing_of(path) == "finished" and not there & {entry.name for entry in (path / REPLACED).iterdir()}:
            bring_back(path)


def _end_what_others_interrupted(path: Path) -> None:
    with contextlib.suppress(InputError):  # whoever holds the lock is not dead but at work
        lock = locked(path, thing="run")
        try:
            with explained_os_errors(path):
                end_what_was_interrupted(path)
        finally:
            lock.release()


def entries_of(path: Path) -> list[str]:
    """Names of all that a run consists of: results first, so that a run that lost them knows that it is not finished
    as long as its work is there, and the journal last."""
    metrics = sorted(file.name for file in path.glob("metrics*.jsonl"))
    return [*RESULTS, "work", "tensorboard", *metrics, "splits.parquet", SETTINGS, JOURNAL]


def remove_run(path: Path) -> None:
    """Remove what an unfinished run left, and nothing else: neither what others put there nor a replaced run."""
    for name in entries_of(path):
        remove(path / name)
