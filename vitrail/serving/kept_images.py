"""Images of users that are kept on the disk, where an operator asked for it: what truth comes for can be learned from.

Never on the way of a request: a thread writes, and what comes faster than it can write is dropped and counted.
"""

import contextlib
import os
import queue
import re
import stat
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from pydantic import Field

from vitrail.basics.errors import InputError
from vitrail.basics.files import explained_os_errors
from vitrail.basics.settings import Settings

MOST_WAITING, MOST_WAITING_BYTES = 256, 64_000_000
"""Images that may wait for the disk; more are dropped."""

_ID = re.compile("[0-9a-f]{32}")
_BEGINNINGS = (
    (0, b"\xff\xd8\xff", "jpg"), (0, b"\x89PNG\r\n\x1a\n", "png"), (0, b"GIF8", "gif"), (0, b"BM", "bmp"),
    (0, b"II*\0", "tif"), (0, b"MM\0*", "tif"), (8, b"WEBP", "webp"), (128, b"DICM", "dcm"),
)  # fmt: skip
"""Where a format has its mark, the mark, and how files of it are called."""


class KeptImageSettings(Settings):
    """Whether images of users are kept; they are not unless somebody asks for it."""

    keep_images: Path | None = None
    """Folder for images that were answered, as `REQUEST_ID.jpg` and so on; each server needs its own. None: none are
    kept. They are images of your users: ask whether you may."""
    most_kept_gb: float = Field(default=10.0, gt=0, le=1_000_000)
    """In 10^9 bytes; the oldest images are removed above it."""


class KeptImages:
    """A folder of images, the newest up to a bound.

    Args:
        folder: for nobody's eyes but the owner's; is made where it is not there.
        most_bytes: of all images together.

    Raises:
        InputError: it is a file, or others may read it.
        SystemFault: it cannot be made.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._dropped = self._removed = 0
        self._fault: str | None = None
        with explained_os_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) & 0o077:
                raise InputError(
                    f"{folder}: others than its owner may look into it, and images of users would lie there",
                    hint=f"chmod 700 {folder}, or name another folder for --keep-images",
                )
            self._sizes = _sizes(folder)
        self._bytes = sum(self._sizes.values())
        self._thread = threading.Thread(target=self._run, name="vitrail kept images", daemon=True)
        self._thread.start()

    def keep(self, request_id: str, content: bytes) -> None:
        """Have an image written under its request's id; returns at once, whatever the disk does."""
        with self._lock:
            if not _ID.fullmatch(request_id) or self._waiting_bytes + len(content) > MOST_WAITING_BYTES:
                self._dropped += 1
                return
            self._waiting_bytes += len(content)
        try:
            self._waiting.put_nowait((request_id, content))
        except queue.Full:
            with self._lock:
                self._waiting_bytes -= len(content)
                self._dropped += 1

    def standing(self) -> dict[str, Any]:
        """Of the folder now, and what came of images since the server began; for people in `sentence`."""
        with self._lock:
            told = {
                "folder": str(self._folder), "images": len(self._sizes), "bytes": self._bytes,
                "dropped": self._dropped, "removed": self._removed, "fault": self._fault,
            }  # fmt: skip
        size = f"{told['images']:,} images, {self._bytes / 1e9:.2f} GB" if self._sizes else "none yet"
        sentence = f"Images that were answered are kept in {self._folder}: {size}; the oldest go above "
        sentence += f"{self._most / 1e9:g} GB."
        if told["dropped"]:
            why = told["fault"] or "they came faster than the disk takes them"
            sentence += f" {told['dropped']:,} were not kept: {why}."
        return {**told, "sentence": sentence}

    def stop(self, *, seconds: float = 5.0) -> None:
        """Write what waits, and end; waits so long at most."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (given := self._waiting.get()) is not None:
            request_id, content = given
            try:
                name = self._write(request_id, content)
                fault = None
            except OSError as error:
                name, fault = None, error.strerror or str(error)
            with self._lock:
                self._waiting_bytes -= len(content)
                self._fault = fault or (self._fault if name is None else None)
                if name is None:
                    self._dropped += 1
                else:
                    self._bytes += len(content) - self._sizes.pop(name, 0)
                    self._sizes[name] = len(content)
            self._remove_oldest()

    def _write(self, request_id: str, content: bytes) -> str:
        """Whole or not at all; not that it survives a power cut: none of them is worth a wait."""
        name = f"{request_id}.{extension_of(content)}"
        beside = self._folder / f".{request_id}.partial"
        try:
            number = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(content)
            os.replace(beside, self._folder / name)
        finally:
            beside.unlink(missing_ok=True)
        return name

    def _remove_oldest(self) -> None:
        while True:
            with self._lock:
                if self._bytes <= self._most or not self._sizes:
                    return
                name, size = self._sizes.popitem(last=False)
                self._bytes -= size
                self._removed += 1
            with contextlib.suppress(OSError):  # somebody has removed it already
                (self._folder / name).unlink()


def opened_kept_images(settings: KeptImageSettings) -> KeptImages | None:
    """The folder that was asked for; None: nobody wants images to be kept. `KeptImages` says what it raises."""
    if settings.keep_images is None:
        return None
    return KeptImages(settings.keep_images.expanduser(), most_bytes=int(settings.most_kept_gb * 1e9))


def extension_of(content: bytes) -> str:
    """How a file is called that begins like this."""
    found = (kind for at, mark, kind in _BEGINNINGS if content[at : at + len(mark)] == mark)
    return next(found, "bin")


def _sizes(folder: Path) -> "OrderedDict[str, int]":
    """What an earlier server left, the oldest first; halves that a kill left behind are removed."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(".partial"):
                os.unlink(entry.path)
            elif _ID.fullmatch(entry.name.partition(".")[0]) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime, entry.name, status.st_size))
    return OrderedDict((name, size) for _, name, size in sorted(found))
