"""What the model answered about every held-out image, beside the report: anybody can check a figure."""

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from vitrail.basics.files import atomic_file
from vitrail.basics.printable import spreadsheet_cell
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.models.parts.decision import NOT_SURE

TABLE, SPREADSHEET = "answers.parquet", "answers.csv"

DECISION = "decision"
"""Under this name a table of answers keeps how the package makes answers of probabilities."""

MOST_CELLS = 20_000_000
"""Probabilities above which no spreadsheet is written (some 400 MB of text); the Parquet file always is."""

ABOUT = (
    "What was answered about every held-out image, so that anybody can check a figure. Test rows are what the package "
    "answers. Where validation images chose the epoch, each of their rows is the answer of the choice that the other "
    "images would have made, as in the figures: the package may answer these images a little otherwise."
)


AS_GIVEN = "What was answered about every image that was judged, so that anybody can check a figure."
"""Likewise, of images that had no part in choosing anything."""


def answers_table(judged: Mapping[str, JudgedImages], *, about: str = ABOUT) -> pa.Table:
    """One row per image of every judged split, in the order of the report's figures.

    Columns: `id` (content hash, as in the image table), `split`, `label`, `group` (the number of its patient or the
    like within the split, never the name; null where images are independent), `predicted` (the most probable class),
    where the package has a decision `decided` (what it answers, or `not sure`), and `p_CLASS` for every
    class: float64 probabilities, exactly those that were judged. For validation images they may differ from what the
    package answers: see `ABOUT`, which is in the table's metadata, too, as is the decision (`DECISION`, JSON).
    """
    table = pa.concat_tables([_rows_of(split, each) for split, each in judged.items()])
    decision = next(iter(judged.values())).decision
    told = {} if decision is None else {DECISION: json.dumps(decision.content().facts)}
    return table.replace_schema_metadata({"about": about, **told})


def answers_sentence(folder: Path, about: str = ABOUT) -> str:
    """For the page that stands beside them: which files of answers are in its folder, and what they are."""
    names = [name for name in (SPREADSHEET, TABLE) if (folder / name).exists()]
    return f"{' and '.join(names)}: {about}"


def _rows_of(split: str, judged: JudgedImages) -> pa.Table:
    groups = pa.nulls(len(judged), pa.int64()) if judged.groups is None else pa.array(judged.groups)
    columns = {
        "id": pa.array(judged.ids, pa.string()),
        "split": pa.array([split] * len(judged), pa.string()),
        "label": judged.rows["label"].cast(pa.string()),
        "group": groups,
        "predicted": pa.array([judged.classes[number] for number in judged.most_probable], pa.string()),
        **_decided(judged),
    }
    probabilities = {f"p_{name}": judged.probabilities[:, number] for number, name in enumerate(judged.classes)}
    return pa.table({**columns, **probabilities})


def _decided(judged: JudgedImages) -> dict[str, pa.Array]:
    if judged.decision is None:
        return {}
    sure = judged.decision.sure(judged.probabilities)
    said = [judged.classes[number] if each else NOT_SURE for number, each in zip(judged.predicted, sure, strict=True)]
    return {"decided": pa.array(said, pa.string())}


def write_answers(judged: Mapping[str, JudgedImages], folder: Path, *, about: str = ABOUT) -> Path:
    """Write `answers.parquet`, and `answers.csv` of the same where it is not too large; give the former's path.

    In the spreadsheet, names that a program would compute begin with `'`.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    table = answers_table(judged, about=about)
    with atomic_file(folder / TABLE) as file:
        pq.write_table(table, file, compression="zstd")
    if table.num_rows * len(table.column_names) <= MOST_CELLS:
        with atomic_file(folder / SPREADSHEET) as file:
            pyarrow.csv.write_csv(_for_spreadsheets(table), file)
    return folder / TABLE


def _for_spreadsheets(table: pa.Table) -> pa.Table:
    for name in ("label", "predicted", *(["decided"] if "decided" in table.column_names else [])):
        cells = pa.array([spreadsheet_cell(text) for text in table[name].to_pylist()], pa.string())
        table = table.set_column(table.column_names.index(name), name, cells)
    return table
