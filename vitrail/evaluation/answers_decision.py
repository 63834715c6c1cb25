"""How the answers in a table were decided: what `answers.parquet` keeps of its package, read again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from vitrail.basics.errors import InputError
from vitrail.evaluation.answers_file import DECISION
from vitrail.models.package_parts import PartContent
from vitrail.models.parts.decision import NOT_SURE, Decision


def decision_of_table(
    given: Any, decided: pa.ChunkedArray | None, classes: tuple[str, ...], probabilities: Float[np.ndarray, "N K"],
    source: str,
) -> Decision | None:  # fmt: skip
    """How answers were made, where they are not the most probable classes: figures of these would be of another model.

    Raises:
        InputError: the answers were decided on in a way that the table does not tell.
    """
    if decided is None:
        return None
    decision = _kept_decision(given, source)
    if decision is not None and decision.classes != classes:
        decision = None
    said = without_escape(decided, classes).to_pylist()
    numbers = probabilities.argmax(axis=1) if decision is None else decision.predicted(probabilities)
    sure = np.ones(len(said), dtype=bool) if decision is None else decision.sure(probabilities)
    other = [
        row
        for row, name in enumerate(said)
        if name is not None and name != (classes[numbers[row]] if sure[row] else NOT_SURE)
    ]
    if other:
        raise InputError(
            f"{source}: in {len(other):,} of {len(said):,} rows a package decided otherwise than for the most probable "
            f"class, first in row {other[0] + 1}: {said[other[0]]!r}; how it decides is not in this table",
            hint="give answers.parquet as it was written, which says so; or leave out the column decided",
        )
    return decision


def _kept_decision(given: Any, source: str) -> Decision | None:
    if isinstance(given, str | Path):
        file = Path(given).expanduser()
        told = pq.read_schema(file).metadata if file.suffix.lower() in (".parquet", ".pq") else None
    else:
        told = given.schema.metadata if isinstance(given, pa.Table) else None
    kept = (told or {}).get(DECISION.encode())
    if kept is None:
        return None
    try:
        facts = json.loads(kept)
        if not isinstance(facts, dict):
            raise ValueError("what was decided, by name, was expected")
        return Decision.from_content(PartContent(facts), version=Decision.version)
    except ValueError as error:
        raise InputError(
            f"{source}: how answers are decided makes no sense: {error}", hint="take the file from where it was made"
        ) from error


def without_escape(texts: pa.ChunkedArray, classes: tuple[str, ...]) -> pa.Array:
    """Names of classes, without the `'` that stands in spreadsheets before what they would compute."""
    known = set(classes)
    values = [each if each in known or each[1:] not in known else each[1:] for each in texts.to_pylist()]
    return pa.array(values, pa.string())
