"""The feature pass: one walk of a data set through a frozen model, into a sink that survives interruption."""

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from pydantic import Field
from torch import nn

from vitrail.basics.events import Emit, WorkAdvanced, WorkEnded, WorkStarted, nobody
from vitrail.basics.settings import Settings
from vitrail.data.columns import places_of
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.memory_map import FeatureMap
from vitrail.models.heads import feature_width
from vitrail.prediction.execution import Execution, Forward


class PassSettings(Settings):
    """How the feature pass is run; none of it changes the features beyond rounding."""

    batch_size: int | None = Field(default=None, ge=1)
    """Images per forward pass; None: 8 on a processor, whose cache they fit, 64 on a GPU."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    precision: Literal["auto", "float32"] = "auto"
    """`auto` measures and takes the fastest that agrees with float32; `float32` is exact."""

    def batch_size_on(self, device: torch.device) -> int:
        """The batch size that was asked for, or what suits the device."""
        return self.batch_size or (8 if device.type == "cpu" else 64)


@dataclass(frozen=True)
class FrozenModel:
    """A model that will not change during a pass, with what its features depend on.

    Attributes:
        model: the network, in eval mode.
        preprocessing: from picture to input.
        weights_sha256: names the weights in the sink's key.
        device: where it is run.
    """

    model: nn.Module
    preprocessing: Preprocessing
    weights_sha256: str
    device: torch.device


def feature_pass(
    frozen: FrozenModel,
    rows: pa.Table,
    folder: Path,
    *,
    execution: Execution,
    batch_size: int,
    workers: int = 0,
    emit: Emit = nobody,
) -> Float[np.ndarray, "N D"]:
    """Pooled features of every row's image, in the order of the rows, memory-mapped in `folder`.

    Args:
        frozen: the model.
        rows: an image table with the columns `path`, `frame` and `id`.
        folder: where the features are kept.
        execution: how the model is run.
        batch_size: images per forward pass.
        workers: processes that decode.
        emit: receives progress.

    A pass that was interrupted, also by kill -9, continues where it stopped: batches are always composed the same way,
    so the result is the same bit for bit as that of an uninterrupted one.

    Raises:
        UnreadableImageError: an image cannot be decoded.
        SystemFault: the disk is full, or a worker process died.
    """
    key = {
        "weights": frozen.weights_sha256,
        "preprocessing": frozen.preprocessing.model_dump(mode="json"),
        "execution": execution.name,
        "images": hashlib.sha256("\n".join(rows["id"].to_pylist()).encode()).hexdigest(),
    }
    places = places_of(rows)
    size = batch_size
    sink = FeatureMap.open(folder, key=key, rows=len(places), width=feature_width(frozen.model), batch_size=size)
    missing = sink.missing
    wanted = [place for batch in missing for place in places[batch * size : (batch + 1) * size]]
    emit(WorkStarted("computing features", len(places)))
    emit(WorkAdvanced("computing features", len(places) - len(wanted)))
    try:
        batches = pixel_batches(wanted, frozen.preprocessing, batch_size=size, workers=workers)
        with execution.applied(frozen.model, frozen.preprocessing, frozen.device) as forward:
            for batch, features in zip(missing, _computed(forward, batches, frozen.device), strict=True):
                sink.write(batch, features)
                emit(WorkAdvanced("computing features", len(features)))
    finally:
        sink.flush()
        emit(WorkEnded("computing features"))
    return sink.read()


def _computed(forward: Forward, batches: Iterator[np.ndarray], device: torch.device) -> Iterator[np.ndarray]:
    """Features (B, D) of every batch, in order. On a processor every core computes a batch of its own.

    Cores that share a batch wait for each other after every layer, and for the one that a decoding worker interrupts:
    a tenth was lost that way on two cores. Features do not depend on it, for a batch is never divided.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    waiting: deque[Future] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=_keep_to_one_core if threads > 1 else None) as pool:
            for pixels in batches:
                waiting.append(pool.submit(forward, pixels))
                if len(waiting) > threads:
                    yield waiting.popleft().result()[0].numpy()
            while waiting:
                yield waiting.popleft().result()[0].numpy()
    finally:
        for future in waiting:
            future.cancel()
        torch.set_num_threads(threads if device.type == "cpu" else torch.get_num_threads())


def _keep_to_one_core() -> None:
    torch.set_num_threads(1)
