"""Reading a feature store: row by row or whole, as NumPy, torch, pandas or Arrow."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from jaxtyping import Shaped

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.printable import printable
from vitrail.data.columns import split_word
from vitrail.features.store.failures import read_failures
from vitrail.features.store.manifest import UNFINISHED, Manifest, Output
from vitrail.features.store.maps import read_maps, verify_rows
from vitrail.features.store.shards import maps_file, opened_table, shard_file, shard_schema
from vitrail.features.store.staging import STATE

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class FeatureBatch:
    """Some rows of a store.

    Attributes:
        rows: id, path, frame, label and split of each, as an Arrow table.
        features: by output, an array (B, *shape); position i of all belongs to row i.
    """

    rows: pa.Table
    features: dict[str, np.ndarray]

    def __len__(self) -> int:
        return self.rows.num_rows


class FeatureStore:
    """What `vitrail features` wrote. Nothing is read before it is asked for, and rows always come in the same order.

    >>> store = vitrail.open_features("features/ants")        # doctest: +SKIP
    >>> train = store.split("train")                          # doctest: +SKIP
    >>> train.numpy("blocks.11").shape, len(train.labels)     # doctest: +SKIP
    ((244, 192), 244)
    """

    def __init__(self, folder: Path, manifest: Manifest, shards: int, *, only: str | None = None) -> None:
        self.folder = folder
        self.manifest = manifest
        self._shards = shards
        self._only = only

    def __repr__(self) -> str:
        which = "" if self._only is None else f" of split {self._only}"
        shapes = (f"{each.name} {'×'.join(map(str, each.shape))} {each.kept}" for each in self.manifest.outputs)
        return printable(f"feature store {self.folder}: {len(self):,} rows{which}; {', '.join(shapes)}")

    @property
    def outputs(self) -> dict[str, Output]:
        """What was read from the model, by name."""
        return {each.name: each for each in self.manifest.outputs}

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `arrow` and `pandas`: the rows' own, then the vectors."""
        return list(shard_schema(self.manifest.outputs).names)

    @property
    def ids(self) -> list[str]:
        """Every row's id."""
        return self._column("id")

    @property
    def paths(self) -> list[str]:
        """Every row's file."""
        return self._column("path")

    @property
    def labels(self) -> list[str | None]:
        """Every row's class, as the data said last; None where it had none."""
        return self._column("label")

    @property
    def splits(self) -> list[str | None]:
        """Every row's split: `train`, `val`, `test` or None."""
        return self._column("split")

    @property
    def failures(self) -> pa.Table:
        """Path, frame, id and reason of every image that should be here and could not be read."""
        return read_failures(self.folder)

    def split(self, name: str) -> "FeatureStore":
        """The same store, showing the rows of one split only.

        Raises:
            InputError: `name` is no split, or one that no row is of.
        """
        shown = FeatureStore(self.folder, self.manifest, self._shards, only=split_word(name))
        if not len(shown):
            found = sorted({split or "no split" for split in self.splits})
            raise InputError(
                f"{self.folder}: no row is of split {name!r}",
                hint=f"its rows are of {', '.join(found)}" if found else "the store has no rows",
            )
        return shown

    def __len__(self) -> int:
        if self._only is None:
            return sum(file.metadata.num_rows for file in self._files())
        return len(self._column("split"))

    def __iter__(self) -> Iterator[FeatureBatch]:
        return self.batches()

    def batches(self, size: int = 1024) -> Iterator[FeatureBatch]:
        """All rows, `size` at a time or fewer; memory holds no more than that.

        Large arrays are memory-mapped: what is not looked at is not read.
        """
        for number, file in enumerate(self._files()):
            maps = self._maps(number, file.metadata.num_rows)
            seen = 0
            for read in file.iter_batches(batch_size=size):
                kept = self._kept(read["split"])
                table = pa.Table.from_batches([read])
                chosen = table if kept is None else table.take(pa.array(kept))
                places = slice(seen, seen + read.num_rows) if kept is None else seen + kept
                seen += read.num_rows
                if chosen.num_rows:
                    if maps:
                        verify_rows(maps_file(self.folder, number), maps, seen - read.num_rows, seen)
                    large = {name: array[places] for name, array in maps.items()}
                    yield FeatureBatch(chosen.select(self._row_columns), self._vectors(chosen) | large)

    def numpy(self, output: str | None = None) -> Shaped[np.ndarray, " N *shape"]:
        """Everything that was read at one place of the model, in memory, in the numbers' own type.

        Args:
            output: its name; may be left out where there is one only.

        Raises:
            InputError: there is no such output.
        """
        wanted = self._output(output)
        whole = np.empty((len(self), *wanted.shape), wanted.kept)
        end = 0
        for rows in self._rows_of(wanted):
            whole[end : end + len(rows)] = rows
            end += len(rows)
        return whole

    def torch(self, output: str | None = None) -> Shaped[torch.Tensor, " N *shape"]:
        """As `numpy`, as a tensor."""
        return torch.from_numpy(self.numpy(output))

    def arrow(self) -> pa.Table:
        """Rows and vectors as one Arrow table, in memory; arrays that are no vectors are left out."""
        whole = pa.concat_tables([file.read() for file in self._files()] or [self._schema.empty_table()])
        return whole if self._only is None else whole.filter(pc.field("split") == self._only)

    def pandas(self) -> "pandas.DataFrame":
        """Rows and vectors as a frame, one array per cell; arrays that are no vectors are left out."""
        return self.arrow().to_pandas()

    @property
    def _schema(self) -> pa.Schema:
        return shard_schema(self.manifest.outputs)

    @property
    def _row_columns(self) -> list[str]:
        return [name for name in self.columns if name not in self.outputs]

    def _files(self) -> Iterator[pq.ParquetFile]:
        for number in range(self._shards):
            with opened_table(shard_file(self.folder, number)) as file:
                yield file

    def _maps(self, number: int, rows: int) -> dict[str, np.ndarray]:
        file = maps_file(self.folder, number)
        maps = read_maps(file) if file.exists() else {}
        if any(len(array) != rows for array in maps.values()):
            raise InputError(
                f"{file} does not belong to the {rows:,} rows of {shard_file(self.folder, number).name}",
                hint="a process died while it replaced rows: run the same vitrail features command again",
            )
        return maps

    def _kept(self, splits: pa.Array) -> np.ndarray | None:
        """Places of the rows that are shown; None: of all."""
        if self._only is None:
            return None
        return np.flatnonzero(pc.equal(splits, self._only).fill_null(False).to_numpy(zero_copy_only=False))

    def _vectors(self, table: pa.Table) -> dict[str, np.ndarray]:
        return {each.name: _matrix(table[each.name], each) for each in self.manifest.outputs if each.is_vector}

    def _rows_of(self, output: Output) -> Iterator[np.ndarray]:
        for number, file in enumerate(self._files()):
            maps = self._maps(number, file.metadata.num_rows)
            seen = 0
            names = ["split", output.name] if output.is_vector else ["split"]
            for read in file.iter_batches(columns=names):
                here = slice(seen, seen + read.num_rows)
                if not output.is_vector:
                    verify_rows(maps_file(self.folder, number), {output.name: maps[output.name]}, here.start, here.stop)
                rows = _matrix(read[output.name], output) if output.is_vector else maps[output.name][here]
                kept = self._kept(read["split"])
                seen = here.stop
                yield rows if kept is None else rows[kept]

    def _output(self, name: str | None) -> Output:
        if name is None and len(self.outputs) == 1:
            name = next(iter(self.outputs))
        if name not in self.outputs:
            known = ", ".join(self.outputs)
            said = "several outputs are in this store" if name is None else f"there is no output {name!r} in this store"
            raise InputError(said, hint=did_you_mean(name or "", self.outputs) or f"choose one of {known}")
        return self.outputs[name]

    def _column(self, name: str) -> list:
        columns = (file.read(columns=["split", name]) for file in self._files())
        kept = (table if self._only is None else table.filter(pc.field("split") == self._only) for table in columns)
        return list(itertools.chain.from_iterable(table[name].to_pylist() for table in kept))


def open_features(folder: str | Path, *, unfinished: bool = False) -> FeatureStore:
    """Open a feature store.

    Args:
        folder: what `vitrail features` was given as `--out`.
        unfinished: accept a store whose pass is going on or was interrupted, and show the whole shards it has.

    Raises:
        InputError: no store, an unfinished one, one with a shard missing, or one that a newer Vitrail wrote.
    """
    place = Path(folder).expanduser()
    manifest = Manifest.read(place)
    if (place / UNFINISHED / STATE).exists() and not unfinished:
        raise InputError(
            f"{place}: the pass that writes this store is not finished",
            hint="run the same vitrail features command again, or open_features(..., unfinished=True) to see its part",
        )
    found = len(list(shard_file(place, 0).parent.glob("part-*.parquet")))
    has_maps = not all(each.is_vector for each in manifest.outputs)
    for number in range(max(len(manifest.shards), found)):
        wanted = [shard_file(place, number), *([maps_file(place, number)] if has_maps else [])]
        missing = next((file.name for file in wanted if not file.exists()), None)
        if missing is not None:
            raise InputError(
                f"{place}: {missing} is missing, {len(manifest.shards)} shards were expected",
                hint="copy the folder again, or make the store anew with --overwrite",
            )
    return FeatureStore(place, manifest, found)


def _matrix(column: pa.Array | pa.ChunkedArray, output: Output) -> np.ndarray:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    chunks = whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, *output.shape) for chunk in chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty((0, *output.shape), output.kept)])
