"""The memory-mapped sink of the feature pass: rows on disk, whole batches or nothing, resumable after any death."""

import json
import math
import os
import time
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
    """What a pass computed of N rows, (N, *shape), in `features.bin`, and which batches are done, in `done.u8`.

    The size on disk is reserved at the start, so that a full disk is an error message then and not a bus error later.
    """

    def __init__(self, features: np.memmap, done: np.memmap, batch_size: int, storage: Storage) -> None:
        self._features = features
        self._done = done
        self._storage = storage
        self._written: list[int] = []
        self._flushed_at = time.monotonic()
        self.batch_size = batch_size

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
            if _stored_key(folder) != full_key:
                for name in ("key.json", "done.u8", "features.bin"):
                    (folder / name).unlink(missing_ok=True)
                _reserve(folder / "features.bin", rows * math.prod(shape) * kept.itemsize)
                _reserve(folder / "done.u8", batches)
                write_json(folder / "key.json", full_key)
            features = np.memmap(folder / "features.bin", kept, "r+", shape=(rows, *shape))
            done = np.memmap(folder / "done.u8", np.uint8, "r+", shape=(batches,))
        return cls(features, done, batch_size, storage)

    @property
    def missing(self) -> list[int]:
        """Numbers of the batches that are still to be computed."""
        return np.flatnonzero(np.asarray(self._done) == 0).tolist()

    def write(self, batch: int, features: Float[Tensor, " B *shape"]) -> None:
        """Store one batch. It counts as done once its features are on disk, a second or two later."""
        start = batch * self.batch_size
        self._features[start : start + len(features)] = _as_kept(features, self._storage)
        self._written.append(batch)
        if time.monotonic() - self._flushed_at > SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Put everything written so far on disk, features first, then the marks that say they are there."""
        self._features.flush()
        self._done[self._written] = 1
        self._done.flush()
        self._written.clear()
        self._flushed_at = time.monotonic()

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
    file = folder / "key.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


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
