"""The folder that `vitrail look` fills: a picture an image, and a line of figures for each; interrupted, it goes on."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.basics.files import explained_os_errors, write_bytes, write_json

LINES, ASKED, PICTURES = "images.jsonl", "look.json", "pictures"
Record = dict[str, Any]


class LookFolder:
    """What was looked at, on disk; one line of `images.jsonl` for every image whose picture is finished."""

    def __init__(self, path: Path, asked: dict[str, Any]) -> None:
        with explained_os_errors(path):
            (path / PICTURES).mkdir(parents=True, exist_ok=True)
        self.path = path
        if _asked_in(path) is None:
            write_json(path / ASKED, asked)
        self._known = {record["key"]: record["stamp"] for record in self.records()}

    @classmethod
    def open(cls, out: Path | None, asked: dict[str, Any], *, name: str) -> "LookFolder":
        """The folder `out`, or a new one in `runs`; where the same was asked before, it is gone on with.

        Args:
            asked: everything that a picture depends on.
            name: what the model is called.

        Raises:
            InputError: something else stands in `out`.
            SystemFault: the folder cannot be made.
        """
        if out is not None:
            if not _is_free(out) and _asked_in(out) != asked:
                what = "another look" if _asked_in(out) is not None else "something else"
                raise InputError(f"{out}: {what} stands there", hint="choose another --out; nothing was changed")
            return cls(out, asked)
        stem = "".join(each if each.isalnum() or each in "-_" else "-" for each in Path(name).name) or "model"
        for number in itertools.count(1):
            path = Path("runs") / (f"look-{stem}" if number == 1 else f"look-{stem}-{number}")
            if _is_free(path) or _asked_in(path) == asked:
                return cls(path, asked)
        raise AssertionError  # never reached: numbers do not end

    def knows(self, key: str, stamp: list[int] | None) -> bool:
        """Whether an image is finished, and its file still the one that was looked at."""
        return self._known.get(key) == stamp and stamp is not None

    def keep(self, records: list[Record]) -> None:
        """Add lines of images whose pictures are written.

        Raises:
            SystemFault: the disk is full.
        """
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        with (
            explained_os_errors(self.path),
            open(self.path / LINES, "a", encoding="utf-8", errors="surrogateescape") as file,
        ):
            file.write(self._line_end() + lines)
            file.flush()
        self._known |= {record["key"]: record["stamp"] for record in records}

    def _line_end(self) -> str:
        """What ends a line that was being written when the power went: the next one would be lost with it."""
        whole = (self.path / LINES).stat().st_size
        if not whole:
            return ""
        with open(self.path / LINES, "rb") as file:
            file.seek(whole - 1)
            return "" if file.read(1) == b"\n" else "\n"

    def write_picture(self, name: str, content: bytes) -> None:
        """Write a picture, whole or not at all.

        Raises:
            SystemFault: the disk is full.
        """
        write_bytes(self.path / name, content)

    def records(self) -> Iterator[Record]:
        """The lines, one at a time, of an image its last; what was being written when the power went is left out."""
        try:
            file = open(self.path / LINES, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115 - in the block below
        except FileNotFoundError:
            return
        with file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict) and {"key", "stamp"} <= record.keys():
                    yield record


def image_key(name: str, picture: Any, number: int) -> str:
    """By what an image is known again: its path and frame, or its number where it is in memory."""
    if not name:
        return f"#{number}"
    frame = picture[1] if isinstance(picture, tuple) and len(picture) > 1 else 0
    return f"{name}#{frame}"


def file_stamp(name: str) -> list[int] | None:
    """Size and time of change of a file; None for a picture in memory."""
    try:
        status = os.stat(name)
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


def digest_of(asked: Any) -> str:
    """A short hash of JSON values."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode("utf-8", "replace")).hexdigest()[:16]


def _asked_in(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((path / ASKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))
