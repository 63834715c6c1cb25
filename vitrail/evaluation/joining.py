"""Answers beside the images they are about: which belongs to which, and what cannot be put together."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from vitrail.basics.errors import InputError, TrainingFault
from vitrail.prediction.answers import Answers


def answer_places(rows: pa.Table, ids: Sequence[str]) -> Int[np.ndarray, "N"]:
    """For every row the number of its answer."""
    wanted, given = rows["id"].to_pylist(), list(ids)
    if wanted == given:
        return np.arange(len(wanted))
    answers: dict[str, list[int]] = defaultdict(list)
    for place in reversed(range(len(given))):
        answers[given[place]].append(place)
    missing = [place for place, identity in enumerate(wanted) if identity not in answers]
    if missing:
        first = rows["path"][missing[0]].as_py()
        raise InputError(
            f"{len(missing):,} of {len(wanted):,} images were not answered about, first {first}",
            hint="leave out the images that could not be read",
        )
    places = []
    for identity in wanted:
        of_copies = answers[identity]
        places.append(of_copies.pop() if len(of_copies) > 1 else of_copies[0])
    return np.array(places, dtype=np.int64)


def faults_of(rows: pa.Table, answers: Answers) -> list[str | None]:
    """For every row why its image could not be read; None where it was.

    A file of which nothing could be read may have no id; it is known by its path, unless other frames of it were read.
    """
    read = {name for row, name in enumerate(answers.names) if row not in answers.faults}
    by_id = {answers.ids[row]: why for row, why in answers.faults.items() if answers.ids[row]}
    by_path = {answers.names[row]: why for row, why in answers.faults.items() if answers.names[row] not in read}
    named = zip(rows["id"].to_pylist(), rows["path"].to_pylist(), strict=True)
    return [by_id.get(identity) or by_path.get(path) for identity, path in named]


def as_mask(mask: Any, count: int) -> Bool[np.ndarray, "N"]:
    """A mask of any kind as one of NumPy; what is missing is not taken.

    Raises:
        InputError: it is not one True or False per image.
    """
    # Numbers and words are refused: row numbers, taken for true and false, would leave out the first image alone.
    try:
        values = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else pa.array(mask, from_pandas=True)
    except (pa.ArrowException, TypeError) as error:
        raise InputError(f"a mask is one True or False per image, got {type(mask).__name__}: {error}") from error
    if len(values) != count:
        raise InputError(f"a mask of shape ({len(values)},) was given for {count:,} images, one value per image")
    if not (pa.types.is_boolean(values.type) or pa.types.is_null(values.type)):
        raise InputError(f"a mask is one True or False per image, got {values.type}", hint="compare: … == value")
    return np.array(values.cast(pa.bool_()).fill_null(False).to_numpy(zero_copy_only=False))


def refuse_uneven_answers(ids: Sequence[str], logits: np.ndarray, features: np.ndarray | None) -> None:
    """Raise where ids, logits and features are not equally many."""
    if np.ndim(logits) != 2 or len(logits) != len(ids) or (features is not None and len(features) != len(ids)):
        beside = "" if features is None else f" and features {np.shape(features)}"
        raise InputError(f"one row of logits per id is needed, got {len(ids):,} ids, logits {np.shape(logits)}{beside}")


def refuse_what_is_no_number(logits: Float[np.ndarray, "N K"], rows: pa.Table, measured_on: str) -> None:
    """Raise where an answer is NaN or infinite, by the path of its image."""
    wrong = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(wrong):
        raise TrainingFault(
            f"the model's answer to {len(wrong)} of {len(logits)} {measured_on} images is not a number (NaN or "
            f"infinity), first {rows['path'][int(wrong[0])].as_py()}",
            hint="train with a lower learning rate (--set learning_rate=…), or from other weights",
        )
