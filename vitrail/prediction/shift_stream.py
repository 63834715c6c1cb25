"""Images that come day by day: a test that may be looked at after every call, its state in a small JSON file."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vitrail.basics.errors import InputError
from vitrail.basics.files import write_json
from vitrail.basics.strict_json import strict_json
from vitrail.measures.stream_test import StreamTest
from vitrail.models.package_files import WEIGHTS
from vitrail.prediction.predictor import Predictor

FORMAT = 1
_MOST_BYTES = 2**30
_DIGITS = 12
"""Of an image's id, in hexadecimal: enough to know it again among millions (one wrong in 2⁴⁸ / N)."""


@dataclass(frozen=True, eq=False)
class ShiftStream:
    """The test, the package it belongs to, and which images it has seen.

    An image that comes again (a folder that grows is given whole every day) counts once.

    Attributes:
        test: see `StreamTest`.
        package: digest of weights and reference.
        seen: beginnings of the ids of the images.
    """

    test: StreamTest
    package: str
    seen: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, predictor: Predictor, *, seed: int = 0) -> "ShiftStream":
        """A stream that begins now, of a predictor whose package has a reference.

        Raises:
            PackageError: it has none.
        """
        reference = predictor.needed_reference()
        return cls(StreamTest.begun(reference.scores, seed=seed), _package_digest(predictor))

    def after(self, ids: Sequence[str], distances: Float[np.ndarray, "N"]) -> "StreamStep":
        """The stream after more images, in the order in which they came.

        Args:
            ids: of the images; those without an id (pictures in memory) are all new.
            distances: Mahalanobis distances.
        """
        seen, fresh = set(self.seen), []
        for place, identity in enumerate(ids):
            short = _short(identity)
            if not identity or short not in seen:
                fresh.append(place)
            if identity:
                seen.add(short)
        test = self.test.after(distances[np.array(fresh, dtype=np.int64)])
        return StreamStep(ShiftStream(test, self.package, frozenset(seen)), len(fresh))

    def write(self, file: Path) -> None:
        """Keep the state, whole or not at all.

        Raises:
            SystemFault: the disk is full or may not be written.
        """
        told = {"test": self.test.as_json(), "package": self.package, "seen": "".join(sorted(self.seen))}
        write_json(file, {"format": FORMAT, **told, "check": _check(told)})


@dataclass(frozen=True, eq=False)
class StreamStep:
    """A stream after more images, and how many of them were new to it."""

    stream: ShiftStream
    fresh: int


def read_stream(file: Path, predictor: Predictor, *, seed: int = 0) -> ShiftStream:
    """The stream that is kept in a file; one that begins now where there is no file.

    Raises:
        InputError: the file is none of ours, is damaged, or is of another package.
        PackageError: the package has no reference.
    """
    if not file.exists():
        return ShiftStream.of(predictor, seed=seed)
    begin_anew = "name another file to begin anew"
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError("it is larger than a state can be")
        written: Any = strict_json(file.read_bytes())
        if not isinstance(written, dict) or written.get("format") != FORMAT:
            raise ValueError(f"format {FORMAT} was expected")
        told = {name: written[name] for name in ("test", "package", "seen")}
        if written.get("check") != _check(told):
            raise ValueError("it is not what was written")
        test, ids = StreamTest.from_json(told["test"]), str(told["seen"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file}: is no state of a stream: {error}", hint=begin_anew) from None
    if told["package"] != _package_digest(predictor):
        raise InputError(f"{file}: is the state of a stream of another package", hint=begin_anew)
    seen = frozenset(ids[start : start + _DIGITS] for start in range(0, len(ids), _DIGITS))
    return ShiftStream(test, told["package"], seen)


def keep_stream(step: StreamStep | None, file: Path | None) -> None:
    """Write the state after more images, where there is a stream.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    if step is not None and file is not None:
        step.stream.write(file)


def _package_digest(predictor: Predictor) -> str:
    reference = predictor.needed_reference()
    digest = hashlib.sha256(predictor.package.digests[WEIGHTS].encode())
    digest.update(reference.scores.tobytes() + reference.shared.tobytes())
    return digest.hexdigest()[:32]


def _short(identity: str) -> str:
    """Frames beyond the first have an id that ends otherwise: all of it counts."""
    return hashlib.sha256(identity.encode()).hexdigest()[:_DIGITS]


def _check(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
