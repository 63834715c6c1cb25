"""The feature pass: one walk of a data set through a frozen model, into a sink that survives interruption.

There are two sinks: rows in memory-mapped files, here, and the feature store (`features/store`).
"""

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field
from torch import Tensor

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Noted, Recovered, WorkAdvanced, WorkEnded, WorkStarted, nobody
from vitrail.basics.settings import Settings
from vitrail.data.checked_files import checked_places
from vitrail.data.loader import pixel_batches
from vitrail.features.memory_map import FeatureMap, Storage
from vitrail.models.heads import feature_width
from vitrail.models.inputs import Inputs, Pixels
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.known import known_name
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Forward, Readout, Runtime


def _known_runtime(name: str) -> str:
    try:
        return known_name(name)
    except InputError as error:
        raise ValueError(error.message) from error


Ticket = TypeVar("Ticket")


class PassSettings(Settings):
    """How the feature pass is run; none of it changes the features beyond rounding."""

    batch_size: int | None = Field(default=None, ge=1)
    """Images per forward pass; None: 8 on a processor, whose cache they fit, 64 on a GPU."""
    precision: Literal["auto", "float32"] = "auto"
    """`auto`: bfloat16 where this machine computes in it and tells the images apart as well as float32; `float32` is
    exact."""
    runtime: Annotated[str, AfterValidator(_known_runtime)] = "auto"
    """With what the training images' features are computed: `auto` (by machine and images), `torch`,
    `openvino`, `onnx`, or a full name such as `openvino bfloat16`."""

    def batch_size_on(self, device: torch.device) -> int:
        """The batch size that was asked for, or what suits the device."""
        return self.batch_size or (8 if device.type == "cpu" else 64)


@dataclass(frozen=True)
class PassMeans:
    """With what a pass is done; none of it but the runtime changes the result, and that by rounding only.

    Attributes:
        runtime: with what the model is computed.
        batch_size: rows per forward pass.
        workers: processes that decode.
        emit: receives progress.
    """

    runtime: Runtime
    batch_size: int
    workers: int = 0
    emit: Emit = nobody


@dataclass(frozen=True)
class PassWork:
    """What one pass computes.

    Attributes:
        name: what the progress bar says.
        key: JSON-able description of everything the result depends on beyond model, preprocessing and runtime.
        rows: number of rows.
        shape: of one row of the result.
        inputs: from numbers of batches to these batches, in order.
        readout: what is wanted of the model; its first result is kept.
        storage: how it is kept.
    """

    name: str
    key: dict[str, Any]
    rows: int
    shape: tuple[int, ...]
    inputs: Callable[[list[int]], Iterator[Inputs]]
    readout: Readout
    storage: Storage = "float32"


def feature_pass(ready: ReadyModel, rows: pa.Table, folder: Path, means: PassMeans) -> Float[np.ndarray, "N D"]:
    """Pooled features of every row's image, in the order of the rows, memory-mapped in `folder`.

    Args:
        ready: the model.
        rows: an image table that the inspection has been through.
        folder: where the features are kept.
        means: how it is done.

    Raises:
        UnreadableImageError: an image cannot be decoded.
        SystemFault: the disk is full, or a worker process died.
    """
    places, batch_size = checked_places(rows), means.batch_size

    def pixels(batches: list[int]) -> Iterator[Inputs]:
        wanted = [place for batch in batches for place in places[batch * batch_size : (batch + 1) * batch_size]]
        read = pixel_batches(wanted, ready.preprocessing, batch_size=batch_size, workers=means.workers)
        return map(Pixels, read)

    work = PassWork(
        "computing features", {"images": digest_of(rows["id"].to_pylist())}, len(places),
        (feature_width(ready.model),), pixels, FEATURES_AND_LOGITS,
    )  # fmt: skip
    return run_pass(ready, work, folder, means).read()


def run_pass(ready: ReadyModel, work: PassWork, folder: Path, means: PassMeans) -> FeatureMap:
    """Do `work` and return its result, memory-mapped in `folder`.

    A pass that was interrupted, also by kill -9, continues where it stopped: batches are always composed the same way,
    so the result is the same bit for bit as that of an uninterrupted one.

    Raises:
        UnreadableImageError: an image cannot be decoded.
        SystemFault: the disk is full, or a worker process died.
    """
    key = {
        "weights": ready.weights_sha256,
        "preprocessing": ready.preprocessing.model_dump(mode="json"),
        "runtime": means.runtime.name,
        **work.key,
    }
    emit, size = means.emit, means.batch_size
    sink = FeatureMap.open(folder, key=key, rows=work.rows, shape=work.shape, batch_size=size, storage=work.storage)
    missing = sink.missing
    done = work.rows - sum(min(size, work.rows - batch * size) for batch in missing)
    if sink.damaged:
        emit(Recovered(f"damaged  {sink.damaged:,} rows of {folder} are not what was written and are computed again"))
    if sink.dropped:
        emit(Recovered(f"damaged  what stood in {folder} was made in another way or is damaged, and is computed again"))
    if done:
        emit(Noted(f"resumed  {work.name}: {done:,} of {work.rows:,} rows were done before"))
    emit(WorkStarted(work.name, work.rows))
    emit(WorkAdvanced(work.name, done))
    try:
        inputs = zip(work.inputs(missing), missing, strict=True)
        with walk(ready, work.readout, means.runtime, inputs) as computed:
            for batch, (features, *_) in computed:
                _refuse_no_numbers(features, work.name)
                sink.write(batch, features)
                emit(WorkAdvanced(work.name, len(features)))
    finally:
        sink.flush()
        emit(WorkEnded(work.name))
    return sink


def _refuse_no_numbers(features: Tensor, doing: str) -> None:
    if not bool(torch.isfinite(features).all()):
        raise InputError(
            f"{doing}: the model gives NaN or infinity for some images; nothing can be learned from that",
            hint="take other weights, or float32 where bfloat16 overflows: --set runtime='torch float32'",
        )


@contextlib.contextmanager
def walk(
    ready: ReadyModel, readout: Readout, runtime: Runtime, inputs: Iterable[tuple[Inputs, Ticket]]
) -> Iterator[Iterator[tuple[Ticket, tuple[Tensor, ...]]]]:
    """The one way that data goes through a frozen model, whichever sink is at its end.

    Args:
        ready: the model.
        readout: what is wanted of it.
        runtime: how it is run.
        inputs: batches, read as results are taken, each with a ticket that comes back with what was computed of it.

    Returns:
        A context that holds tickets and results, in the order of `inputs`; when it ends, the model is as it was.
    """
    callers = torch.get_num_threads() if ready.device.type == "cpu" else 1
    with (
        runtime.applied(ready.model, ready.preprocessing, ready.device, readout=readout, callers=callers) as forward,
        contextlib.closing(_computed(forward, inputs, callers)) as computed,
    ):
        yield computed


def digest_of(lines: Iterable[str]) -> str:
    """SHA-256 of lines of text: a short name for a list of images."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _computed(
    forward: Forward, inputs: Iterable[tuple[Inputs, Ticket]], threads: int
) -> Generator[tuple[Ticket, tuple[Tensor, ...]]]:
    """What `forward` gives for every batch, in order. A processor's cores each compute a batch.

    Cores that share a batch wait for each other after every layer, and for the one that a decoding worker interrupts:
    a tenth was lost that way on two cores. Features do not depend on it, for a batch is never divided.
    """
    before = torch.get_num_threads()
    waiting: deque[tuple[Ticket, Future]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=_keep_to_one_core if threads > 1 else None) as pool:
            for batch, ticket in inputs:
                waiting.append((ticket, pool.submit(forward, batch)))
                if len(waiting) > threads:
                    yield _oldest(waiting)
            while waiting:
                yield _oldest(waiting)
    finally:
        for _, future in waiting:
            future.cancel()
        torch.set_num_threads(before)


def _oldest(waiting: deque[tuple[Ticket, Future]]) -> tuple[Ticket, tuple[Tensor, ...]]:
    ticket, future = waiting.popleft()
    return ticket, future.result()


def _keep_to_one_core() -> None:
    torch.set_num_threads(1)
