"""Where rows wait until they fill a shard: files that only grow, and lose what was not committed before a death."""

import contextlib
import dataclasses
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.basics.checks import read_checked_json, write_checked_json
from vitrail.basics.errors import DamagedError, InputError
from vitrail.basics.files import flush_folder
from vitrail.data.identity import PACKED_BYTES, packed_id, unpacked_id
from vitrail.features.store.manifest import Kept, Output

STATE = "state.json"


@dataclass(frozen=True)
class Progress:
    """How far a pass is, as of the last commit.

    Attributes:
        images: digest of the list of images that it goes through.
        first_shard: number of the first shard that it writes.
        shard: number of the shard that is being filled.
        position: place in the list of the first image that was not looked at yet.
        rows: rows that wait for the shard.
        failures: bytes of the list of failures.
        checks: CRC-32 of the committed bytes of every file, by name; earlier versions had none.
    """

    images: str
    first_shard: int
    shard: int
    position: int = 0
    rows: int = 0
    failures: int = 0
    checks: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """An image that could not be read: its place in the list of images, its id where it has one, and why."""

    position: int
    id: str
    reason: str


class Staging:
    """The rows and failures of a pass that are in no shard yet, in `folder`.

    Nothing counts before `commit`; whatever a killed process or a full disk left behind the last commit is cut off
    when the folder is opened again. Numbers of rows and positions are those of `progress`.
    """

    def __init__(self, folder: Path, outputs: Sequence[Output], progress: Progress) -> None:
        """Open what waits in `folder`.

        Raises:
            DamagedError: something else is there than was committed, or less.
        """
        self.progress = progress
        self._folder = folder
        self._outputs = outputs
        self._files: dict[str, BinaryIO] = {}
        self._checks = dict(progress.checks)
        self._cut()

    @staticmethod
    def stored(folder: Path) -> Progress | None:
        """The last commit in `folder`, if there is one that is sound."""
        file = folder / STATE
        try:
            return Progress(**read_checked_json(file, hint="run the same command again")) if file.exists() else None
        except (DamagedError, TypeError):
            return None

    def append(self, positions: Sequence[int], ids: Sequence[str], outputs: Sequence[Float[Tensor, "B ..."]]) -> None:
        """Add rows behind those that are there; `outputs` in the order of the store's.

        Raises:
            InputError: a number is too large for the way it is kept.
        """
        arrays = [_as_kept(tensor, output) for tensor, output in zip(outputs, self._outputs, strict=True)]
        for index, array in enumerate(arrays):
            assert array.shape == (len(ids), *self._outputs[index].shape), self._outputs[index]
            self._write(_output_file(index), np.ascontiguousarray(array).data)
        self._write("ids.bin", b"".join(map(packed_id, ids)))
        self._write("positions.bin", np.array(positions, np.int64).tobytes())
        self._advance(rows=self.progress.rows + len(ids))

    def fail(self, failures: Iterable[Failure]) -> None:
        """Note images that could not be read."""
        lines = "".join(json.dumps(dataclasses.asdict(each)) + "\n" for each in failures).encode()
        self._write("failures.jsonl", lines)
        self._advance(failures=self.progress.failures + len(lines))

    def reach(self, position: int) -> None:
        """Say that all images before `position` were looked at."""
        self._advance(position=position)

    def commit(self) -> None:
        """Put everything on disk; this is what a later process finds."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._write_state()

    def next_shard(self) -> None:
        """Forget the rows, which are in a shard now."""
        self._checks = {name: check for name, check in self._checks.items() if name == "failures.jsonl"}
        self._advance(shard=self.progress.shard + 1, rows=0)
        self._write_state()
        flush_folder(self._folder)  # the files must not be cut before this is certain
        self.close()
        self._cut()

    def rows(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Positions (R,) and, by output, the numbers (R, *shape) of the waiting rows, memory-mapped."""
        count = self.progress.rows
        positions: np.ndarray = np.memmap(self._folder / "positions.bin", np.int64, "r", shape=(count,))
        arrays: list[np.ndarray] = [
            np.memmap(self._folder / _output_file(index), output.kept, "r", shape=(count, *output.shape))
            for index, output in enumerate(self._outputs)
        ]
        return positions, arrays

    def ids(self, first: int, end: int) -> list[str]:
        """The ids of some waiting rows."""
        with open(self._folder / "ids.bin", "rb") as file:
            file.seek(first * PACKED_BYTES)
            packed = file.read((end - first) * PACKED_BYTES)
        return [unpacked_id(packed[start : start + PACKED_BYTES]) for start in range(0, len(packed), PACKED_BYTES)]

    def failures(self) -> Iterator[Failure]:
        """The failures, one by one."""
        with open(self._folder / "failures.jsonl", encoding="utf-8") as lines:
            for line in lines:
                yield Failure(**json.loads(line))

    def output_file(self, index: int) -> Path:
        """The file that begins with the numbers of output number `index`."""
        return self._folder / _output_file(index)

    def close(self) -> None:
        """Close the files. What was not committed is lost."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # after a full disk, what is still in its buffer cannot be written
                file.close()
        self._files.clear()

    def _write(self, name: str, content: bytes | memoryview) -> None:
        self._files[name].write(content)
        self._checks[name] = zlib.crc32(content, self._checks.get(name, 0))

    def _write_state(self) -> None:
        self._advance(checks=dict(self._checks))
        write_checked_json(self._folder / STATE, dataclasses.asdict(self.progress))

    def _advance(self, **changes: Any) -> None:
        self.progress = dataclasses.replace(self.progress, **changes)

    def _cut(self) -> None:
        """Open the files at the length of the last commit."""
        rows = self.progress.rows
        lengths = {_output_file(index): rows * output.row_bytes for index, output in enumerate(self._outputs)}
        lengths |= {"ids.bin": rows * PACKED_BYTES, "positions.bin": rows * 8, "failures.jsonl": self.progress.failures}
        for name, length in lengths.items():
            file = open(self._folder / name, "ab")  # noqa: SIM115 - stays open until `close`
            self._files[name] = file
            if file.tell() < length or not self._is_as_committed(name, length):
                self.close()
                raise DamagedError(
                    f"{self._folder / name} is not what was committed to it", hint="run the same command again"
                )
            file.truncate(length)

    def _is_as_committed(self, name: str, length: int) -> bool:
        if not self.progress.checks:  # an earlier version's
            return True
        check, left = 0, length
        with open(self._folder / name, "rb") as file:
            while left and (piece := file.read(min(left, 1 << 20))):
                check, left = zlib.crc32(piece, check), left - len(piece)
        return check == self.progress.checks.get(name, 0)


def _output_file(index: int) -> str:
    return f"output-{index}.bin"


def _as_kept(tensor: Float[Tensor, " B *shape"], output: Output) -> np.ndarray:
    kept: Kept = output.kept
    converted = tensor.to(getattr(torch, kept)).contiguous()
    if kept == "float16" and bool((converted.isinf() & ~tensor.isinf()).any()):
        raise InputError(
            f"output {output.name!r} holds {tensor.abs().max():.4g}, float16 ends at 65504", hint="use --dtype float32"
        )
    return converted.numpy()
