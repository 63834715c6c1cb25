"""Answers that are kept on disk while they come: whoever is stopped goes on where they were."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from vitrail.basics.checks import damaged, read_checked_bytes, write_checked_bytes
from vitrail.basics.errors import DamagedError
from vitrail.basics.events import Emit, Recovered, WorkAdvanced, WorkEnded, WorkStarted, nobody
from vitrail.basics.files import explained_os_errors
from vitrail.data.columns import AnyPlace
from vitrail.prediction.answers import Answers, gathered_answers
from vitrail.prediction.predictor import Predictor

BATCH = 16
PART = 16 * BATCH
"""Images that are kept at a time: a stop loses what these cost, 15 s of a ViT-S/16 on two cores."""

_AGAIN = "they are computed again"


def kept_answers(
    predictor: Predictor,
    places: Sequence[AnyPlace],
    folder: Path,
    *,
    workers: int | None = None,
    emit: Emit = nobody,
    work: str = "answers",
) -> Iterator[Answers]:
    """What the model says of images, `PART` of them at a time and in order; each part is on disk before it is yielded.

    Parts that an earlier call kept in `folder`, of this package, in this runtime, about these images, are read and not
    computed; the answers are the same, bit for bit. From the first part that is missing, of other images, or damaged,
    all are computed.

    Args:
        predictor: the model.
        places: of files; where they were checked (`checked_places`), a part is kept for their content, not their path.
        folder: of these answers alone; made where it is not there. Whoever is done removes it.
        workers: as for `Predictor.answers`.
        emit: receives progress.
        work: what the work is called there.

    Raises:
        SystemFault: the disk is full or may not be written.
        InputError: as `Predictor.answers`.
    """
    with explained_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    parts = [places[start : start + PART] for start in range(0, len(places), PART)]
    keys = [_key(predictor, part) for part in parts]
    emit(WorkStarted(work, len(places)))
    try:
        computed: Iterator[Answers] | None = None
        for number, key in enumerate(keys):
            file = folder / f"part-{number:06}"
            answers = _read(file, key, predictor, emit) if computed is None else None
            if answers is None:
                computed = computed or predictor.answers(places[number * PART :], batch_size=BATCH, workers=workers)
                answers = _computed(computed, work, emit)
                _write(file, key, answers)
            else:
                emit(WorkAdvanced(work, len(answers)))
            yield answers
    finally:
        emit(WorkEnded(work))


def _computed(batches: Iterator[Answers], work: str, emit: Emit) -> Answers:
    several = []
    for batch in itertools.islice(batches, PART // BATCH):
        emit(WorkAdvanced(work, len(batch)))
        several.append(batch)
    return gathered_answers(several)


def _key(predictor: Predictor, places: Sequence[AnyPlace]) -> str:
    """Changes when the package, the runtime that was asked for, or one of the images is another."""
    facts = [sorted(predictor.package.digests.items()), predictor.asked_runtime, places]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _write(file: Path, key: str, answers: Answers) -> None:
    values = {each.name: getattr(answers, each.name) for each in fields(answers) if each.name != "decision"}
    arrays = {name: np.ascontiguousarray(value) for name, value in values.items() if isinstance(value, np.ndarray)}
    told = {name: value for name, value in values.items() if name not in arrays}
    said = json.dumps({**told, "faults": sorted(answers.faults.items())})
    write_checked_bytes(file, safetensors.numpy.save(arrays, metadata={"key": key, "said": said}))


def _read(file: Path, key: str, predictor: Predictor, emit: Emit) -> Answers | None:
    """The answers of a part; None where they are not there, of something else, or damaged, which is told."""
    if not file.exists():
        return None
    try:
        content = read_checked_bytes(file, hint=_AGAIN)
        said = _metadata(content)
        if said.get("key") != key:
            return None
        told = json.loads(said["said"])
        arrays = safetensors.numpy.load(content)
    except (DamagedError, safetensors.SafetensorError, ValueError, KeyError):
        emit(Recovered(f"damaged  {damaged(file, hint=_AGAIN).message}: {_AGAIN}"))
        return None
    known: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in told.items()}
    known |= {**arrays, "faults": {int(row): why for row, why in told["faults"]}}
    return Answers(**known, decision=predictor.decision)


def _metadata(content: bytes) -> Mapping[str, Any]:
    length = int.from_bytes(content[:8], "little")
    found: Mapping[str, Any] = json.loads(content[8 : 8 + length])["__metadata__"]
    return found
