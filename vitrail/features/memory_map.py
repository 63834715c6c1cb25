"""The memory-mapped sink of the feature pass: rows on disk, whole batches or nothing, resumable after any death."""

import json
import math
import os
import time
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitrail.basics.files import explained_os_errors, write_json

SECONDS_BETWEEN_FLUSHES = 2.0
"""At most so much work is repeated after a crash; waiting for the disk after every batch would slow a pass down."""


Storage = Literal["float32", "bfloat16"]
"""How numbers are kept: whole, or in half the space with eight significant bits."""

_NUMPY_TYPE = {"float32": np.float32, "bfloat16": np.int16}  # NumPy knows no bfloat16: its bits are kept


class FeatureMap:
    """What a pass computed of N rows, (N, *shape), in `features.bin`, which batches are done, in `done.u8`, and the
    CRC-32 of each of these, in `checks.u32`.

    The size on disk is reserved at the start, so that a full disk is an error message then and not a bus error later.

    Attributes:
        damaged: how many rows that an earlier process left are not what it wrote; they count as missing.
        dropped: whether what an earlier process left was dropped whole: of another key, or files cut or damaged.
    """

    def __init__(
        self, features: np.memmap, done: np.memmap, checks: np.memmap, batch_size: int, storage: Storage
    ) -> None:
        self._features = features
        self._done = done
        self._checks = checks
        self._storage = storage
        self._written: list[int] = []
        self._flushed_at = time.monotonic()
        self.batch_size = batch_size
        self.dropped = False
        self.damaged = self._forget_damaged()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        key: dict[str, Any],
        rows: int,
        shape: tuple[int, ...],
        batch_size: int,
        storage: Storage = "float32",
    ) -> "FeatureMap":
        """Open the map in `folder`, keeping what an interrupted pass with the same `key` left there.

        Args:
            key: JSON-able description of everything the features depend on (weights, preprocessing, runtime, ids).
            rows: number of rows.
            shape: of one row.
            batch_size: rows that are computed together, always the same ones.
            storage: how numbers are kept.

        Raises:
            SystemFault: the disk is full or may not be written.
        """
        batches = -(-rows // batch_size)
        full_key = {**key, "rows": rows, "shape": list(shape), "batch_size": batch_size, "storage": storage}
        kept = np.dtype(_NUMPY_TYPE[storage])
        with explained_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            length = rows * math.prod(shape) * kept.itemsize
            sizes = {"features.bin": length, "done.u8": batches, "checks.u32": 4 * batches}
            other = _stored_key(folder) != full_key or not _has_sizes(folder, sizes)
            dropped = other and (folder / "features.bin").exists()
            if other:
                for name in ("key.json", *sizes):
                    (folder / name).unlink(missing_ok=True)
                for name, size in sizes.items():
                    _reserve(folder / name, size)
                write_json(folder / "key.json", full_key)
            features = np.memmap(folder / "features.bin", kept, "r+", shape=(rows, *shape))
            done = np.memmap(folder / "done.u8", np.uint8, "r+", shape=(batches,))
            checks = np.memmap(folder / "checks.u32", np.uint32, "r+", shape=(batches,))
        opened = cls(features, done, checks, batch_size, storage)
        opened.dropped = dropped
        return opened

    @property
    def missing(self) -> list[int]:
        """Numbers of the batches that are still to be computed."""
        return np.flatnonzero(np.asarray(self._done) == 0).tolist()

    def write(self, batch: int, features: Float[Tensor, " B *shape"]) -> None:
        """Store one batch. It counts as done once its features are on disk, a second or two later."""
        start = batch * self.batch_size
        numbers = np.ascontiguousarray(_as_kept(features, self._storage))
        self._features[start : start + len(features)] = numbers
        self._checks[batch] = zlib.crc32(numbers.data)
        self._written.append(batch)
        if time.monotonic() - self._flushed_at > SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Put everything written so far on disk, features first, then the marks that say they are there."""
        self._features.flush()
        self._checks.flush()
        self._done[self._written] = 1
        self._done.flush()
        self._written.clear()
        self._flushed_at = time.monotonic()

    def _forget_damaged(self) -> int:
        """Take the mark from every batch that is not what was written; give the rows of these."""
        count = 0
        for batch in np.flatnonzero(self._done).tolist():
            rows = self._features[batch * self.batch_size : (batch + 1) * self.batch_size]
            if self._done[batch] != 1 or zlib.crc32(rows.data) != self._checks[batch]:
                self._done[batch] = 0
                count += len(rows)
        return count

    def read(self) -> Float[np.ndarray, " N *shape"]:
        """All features, read-only; nothing is copied.

        Only for `float32`, see `rows` otherwise.
        """
        assert self._storage == "float32"
        view = self._features.view()
        view.flags.writeable = False
        return view

    def rows(self, places: Int[np.ndarray, "B"]) -> Float[Tensor, " B *shape"]:
        """Some rows as a tensor of the kept type, in the order of `places`; only these are read from disk."""
        # A copy at an address of torch's own choosing: some sums depend, in the last digit, on where numbers lie.
        picked = torch.from_numpy(np.asarray(self._features[places])).clone()
        return picked.view(torch.bfloat16) if self._storage == "bfloat16" else picked

    def __len__(self) -> int:
        return len(self._features)


def _stored_key(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "key.json").read_bytes().decode())
    except (FileNotFoundError, ValueError):
        return None


def _has_sizes(folder: Path, sizes: dict[str, int]) -> bool:
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())


def _reserve(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.write(b"\0" * size)


def _as_kept(features: Tensor, storage: Storage) -> np.ndarray:
    if storage == "bfloat16":
        return features.bfloat16().view(torch.int16).numpy()
    return features.float().numpy()
