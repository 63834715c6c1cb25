"""Facts about files as columns beside the image table: about 200 bytes a file, however many there are."""

import dataclasses

import pyarrow as pa

from vitrail.data.cells import distinct_names
from vitrail.data.inspection.examine import FileFacts

_ROWS_AT_ONCE = 4096

_TYPES = {
    str: pa.string(),
    str | None: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bytes: pa.binary(),
}
_SCHEMA = pa.schema(
    [
        (field.name, pa.uint64() if field.name == "perceptual_hash" else _TYPES[field.type])  # type: ignore[index]
        for field in dataclasses.fields(FileFacts)
    ]
)

INTERNAL = ("perceptual_hash", "sketch")
"""Columns that only the inspection itself needs."""


class FactColumns:
    """Takes facts one by one and keeps them in compact columns."""

    def __init__(self) -> None:
        self._waiting: list[FileFacts] = []
        self._batches: list[pa.RecordBatch] = []

    def __len__(self) -> int:
        return len(self._waiting) + sum(batch.num_rows for batch in self._batches)

    def add(self, facts: FileFacts) -> None:
        """Take the facts about the next row."""
        self._waiting.append(facts)
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._pack()

    def beside(self, rows: pa.Table) -> pa.Table:
        """`rows` with a column for every fact, and `readable`.

        An attribute of the user's that has the name of one of these columns is kept as `given_NAME`.
        """
        self._pack()
        facts = pa.Table.from_batches(self._batches, schema=_SCHEMA)
        ours = {*facts.column_names, "readable", "near_duplicate_cluster"}
        names = distinct_names(f"given_{name}" if name in ours else name for name in rows.column_names)
        table = rows.rename_columns(names)
        for name in facts.column_names:
            table = table.append_column(name, facts[name])
        return table.append_column("readable", facts["fault"].is_null())

    def _pack(self) -> None:
        if self._waiting:
            columns = {name: [getattr(facts, name) for facts in self._waiting] for name in _SCHEMA.names}
            self._batches.append(pa.RecordBatch.from_pydict(columns, schema=_SCHEMA))
            self._waiting.clear()
