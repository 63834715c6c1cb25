"""What a feature store says of itself: which vectors of which model, made how."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vitrail.basics.checks import CHECK, damaged, read_checked_json, write_checked_json
from vitrail.basics.differences import differences
from vitrail.basics.errors import InputError
from vitrail.data.preprocessing import with_tone

FORMAT = "vitrail feature store"
FORMAT_VERSION = 2
"""The version that is written, and the newest that is read. Version 1 had no checksums."""
MANIFEST, SHARDS, FAILURES, UNFINISHED = "manifest.json", "shards", "failures.parquet", "vitrail-unfinished-pass"
"""Names in a store's folder; `UNFINISHED` is there while a pass is going on, and what it continues from. Nobody else
calls a folder so: where it is, Vitrail may remove what a store consists of."""
ROW_COLUMNS = ("id", "path", "frame", "label", "split")
"""Columns of a shard beside the vectors."""

_LOST = "put a copy back, or make the store anew in another --out"

Kept = Literal["float32", "float16"]
"""How numbers are kept."""


@dataclass(frozen=True)
class Output:
    """One thing that was read from the model for every image.

    Attributes:
        name: of its column.
        node: where in the model it was read.
        reduction: `cls`, `mean`, `tokens` or `map`; None: as it is there.
        shape: of one image's.
        kept: how its numbers are kept.
    """

    name: str
    node: str
    reduction: str | None
    shape: tuple[int, ...]
    kept: Kept = "float32"

    @property
    def is_vector(self) -> bool:
        """Vectors are columns of the Parquet shards; anything larger lies beside them as safetensors."""
        return len(self.shape) == 1

    @property
    def row_bytes(self) -> int:
        """Size of one image's."""
        return math.prod(self.shape) * (4 if self.kept == "float32" else 2)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`.

    Attributes:
        outputs: what is in the store.
        architecture: timm's name of the network.
        weights_sha256: names its weights.
        preprocessing: from picture to input, as plain values.
        runtime: how the model was run, precision included.
        batch_size: rows per forward pass when the store was begun.
        rows_per_shard: rows of every shard but the last of each pass.
        invariance: how far rows depend on runtime and batch size, as measured on the first images.
        versions: of Python and packages, one entry for every set of versions that rows were written with.
        shards: rows of every shard; what a pass that is not finished adds is not counted.
        failures: images that could not be read, listed in `failures.parquet`.
    """

    outputs: tuple[Output, ...]
    architecture: str
    weights_sha256: str
    preprocessing: dict[str, Any]
    runtime: str
    batch_size: int
    rows_per_shard: int
    invariance: dict[str, Any] = field(default_factory=dict)
    versions: tuple[dict[str, str], ...] = ()
    shards: tuple[int, ...] = ()
    failures: int = 0

    def identity(self) -> dict[str, Any]:
        """What all rows of a store have in common."""
        outputs = {each.name: each.as_json() for each in self.outputs}
        return {
            "weights_sha256": self.weights_sha256,
            # As it is written today: an older store says the same in other words.
            "preprocessing": with_tone(self.preprocessing),
            "runtime": self.runtime,
            "outputs": outputs,
        }

    def refuse_other(self, asked: "Manifest", folder: Path) -> None:
        """Raise unless rows made as `asked` may stand beside the rows of this store.

        Raises:
            InputError: weights, preprocessing, outputs or runtime differ; the message says how.
        """
        changed = differences(self.identity(), asked.identity())
        if changed:
            raise InputError(
                f"{folder}: the feature store there was made in another way:\n" + "\n".join(changed),
                hint="repeat it with the same model and options, choose another --out, or replace it with --overwrite",
            )

    def write(self, folder: Path) -> None:
        """Write `manifest.json`, atomically.

        Raises:
            SystemFault: the disk is full or may not be written.
        """
        outputs = [each.as_json() for each in self.outputs]
        values = {"format": FORMAT, "format_version": FORMAT_VERSION, **dataclasses.asdict(self), "outputs": outputs}
        write_checked_json(folder / MANIFEST, values)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read `manifest.json`.

        Raises:
            InputError: there is none, it is not ours, or it was written by a newer Vitrail.
        """
        values = _values(folder)
        if not values and (folder / SHARDS).is_dir() and (folder / MANIFEST).exists():
            raise damaged(folder / MANIFEST, hint=_LOST)
        if not values:
            raise InputError(
                f"{folder}: no feature store, a folder with {MANIFEST} was expected",
                hint="vitrail features MODEL DATA --out FOLDER writes one",
            )
        version = values.pop("format_version")
        if version > FORMAT_VERSION:
            raise InputError(
                f"{folder}: written by a newer Vitrail (store version {version}, {FORMAT_VERSION} is read here)",
                hint="pip install --upgrade vitrail",
            )
        if version > 1:
            values = read_checked_json(folder / MANIFEST, hint=_LOST)
            values = {name: value for name, value in values.items() if name not in ("format", "format_version")}
        outputs = tuple(Output(**{**each, "shape": tuple(each["shape"])}) for each in values["outputs"])
        listed = {name: tuple(values[name]) for name in ("versions", "shards")}
        return cls(**{**values, **listed, "outputs": outputs})

    @staticmethod
    def stands_in(folder: Path) -> bool:
        """Whether there is one, of whatever version."""
        return bool(_values(folder))


def _values(folder: Path) -> dict[str, Any]:
    """What `manifest.json` says; nothing where there is none, or another program's."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    is_ours = isinstance(values, dict) and values.pop("format", None) == FORMAT
    if is_ours:
        values.pop(CHECK, None)
    return values if is_ours else {}
