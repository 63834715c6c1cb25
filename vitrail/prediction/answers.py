"""What a model said of images: always the same object, from every runtime and every way of asking."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from vitrail.basics.errors import InputError
from vitrail.basics.printable import printable
from vitrail.models.parts.decision import Decision

UNLIKE = 0.05
"""An image is called unlike the known ones where its likeness is this or less: 1 in 20 of those that nothing is wrong
with is, too (the 95th percentile of the articles Vitrail grew from)."""
TIE = 1e-12
"""A likeness is a fraction that floating-point numbers hold nearly."""

LINES_SHOWN = 20
"""Predictions that a list of them shows when it is printed."""


@dataclass(frozen=True, repr=False)
class Prediction:
    """What the model says of one image.

    Attributes:
        path: the image's file; empty for an image in memory.
        label: the class that is answered: the most probable one, or what the package's decision says.
        probability: its probability, 0-1.
        probabilities: every class's probability, in the package's order; they sum to 1.
        id: hash of the file's content, and its frame beyond 0, as in the image table; empty for a picture in memory.
        likeness: how like the images that the model knows it is, see `likeness.likenesses`; None where the package
            does not say what these are like.
        sure: whether its probability is as high as the package's decision asks; None where it asks nothing.
        classes_in_set: the classes that may be the true one; together they hold it as often as `level`, the package's
            decision, says. None where it says nothing.
        level: see there.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]
    id: str = ""
    likeness: float | None = None
    sure: bool | None = None
    classes_in_set: tuple[str, ...] | None = None
    level: float | None = None

    @property
    def unlike(self) -> bool | None:
        """Whether it is unlike the known images: then the answer is worth little, however sure it sounds."""
        return None if self.likeness is None else self.likeness <= UNLIKE + TIE

    def __repr__(self) -> str:
        """One line: class, probability, file, the runners-up, and whether the image is unlike the known ones."""
        others = [
            item for item in sorted(self.probabilities.items(), key=lambda item: -item[1]) if item[0] != self.label
        ]
        rest = "  ".join(f"{printable(name)} {probability:.1%}" for name, probability in others[:2])
        warned = f"   unlike known images ({self.likeness:.2g})" if self.likeness is not None and self.unlike else ""
        said = printable(self.label) if self.sure is not False else f"not sure ({printable(self.label)}?)"
        return f"{said:<24} {self.probability:>6.1%}   {printable(self.path)}   [{rest}]{warned}"

    def as_json(self) -> dict[str, Any]:
        """Plain values, probabilities with seven decimals."""
        rounded = {name: round(value, 7) for name, value in self.probabilities.items()}
        return {
            "path": self.path,
            "label": self.label,
            "probability": round(self.probability, 7),
            "probabilities": rounded,
            "id": self.id,
            **({} if self.likeness is None else {"likeness": round(self.likeness, 7), "unlike": self.unlike}),
            **({} if self.sure is None else {"sure": self.sure}),
            **({} if self.classes_in_set is None else {"set": list(self.classes_in_set), "set_level": self.level}),
        }


@dataclass(frozen=True)
class Unreadable:
    """An image of which nothing can be said, and why; `id` as for `Prediction`, empty where no byte could be read."""

    path: str
    reason: str
    id: str = ""


class Predictions(list[Prediction]):
    """A list of predictions, in the order of the images, of those that could be read.

    Attributes:
        unreadable: the others, and why. Where it is not empty, place i in the list is not the i-th image: every
            prediction says its path.
    """

    def __init__(self, predictions: Iterable[Prediction] = (), unreadable: Iterable[Unreadable] = ()) -> None:
        super().__init__(predictions)
        self.unreadable = tuple(unreadable)

    def __repr__(self) -> str:
        """A line for each of the first predictions, and how many images could not be read."""
        more = [f"… and {len(self) - LINES_SHOWN:,} more"] if len(self) > LINES_SHOWN else []
        unread = [f"{len(self.unreadable):,} could not be read: see unreadable"] if self.unreadable else []
        return "\n".join([*map(repr, self[:LINES_SHOWN]), *more, *unread]) or "no predictions"


@dataclass(frozen=True, eq=False, repr=False)
class Answers:
    """What a model said of N images, one row each, in the order in which they were given.

    An image that could not be read keeps its row: NaN in every column, and the reason in `faults`. What belongs to an
    image elsewhere (label, group, answers of another model) is joined by `ids`: see `of`.

    Attributes:
        classes: names of the K classes, in the order of the columns.
        ids: hash of each file's content, and its frame beyond 0, as in the image table. Empty for pictures in memory,
            which were never a file as far as anybody knows, and for files of which no byte could be read.
        names: each image's path, empty in memory.
        logits: what the last layer gives; see `probabilities`.
        features: the pooled features that it gives them of.
        faults: by row, why an image could not be read.
        likeness: of each image, how like those that the model knows it is (`likeness.likenesses`), NaN where it could
            not be read; None where the package does not say what these are like.
        decision: how the package makes answers of probabilities; None: the most probable class is answered.
    """

    classes: tuple[str, ...]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    logits: Float[np.ndarray, "N K"]
    features: Float[np.ndarray, "N D"]
    faults: Mapping[int, str] = field(default_factory=dict)
    likeness: Float[np.ndarray, "N"] | None = None
    decision: Decision | None = None

    @cached_property
    def probabilities(self) -> Float[np.ndarray, "N K"]:
        """The softmax of the logits, in float64; rows sum to 1."""
        return torch.softmax(torch.tensor(self.logits, dtype=torch.float64), dim=1).numpy()

    def of(self, ids: Sequence[str]) -> "Answers":
        """The rows of these images, in this order; one that stands here twice gives its first row.

        Raises:
            InputError: nothing was said of one of them; it is named.
        """
        rows = {identity: row for row, identity in reversed(list(enumerate(self.ids))) if identity}
        missing = [identity for identity in ids if identity not in rows]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(ids)} images have no answer, the first is {missing[0]!r}",
                hint="ids are those of the image table: the hash of a file's content, and its frame",
            )
        chosen = [rows[identity] for identity in ids]
        return Answers(
            self.classes,
            tuple(ids),
            tuple(self.names[row] for row in chosen),
            self.logits[chosen],
            self.features[chosen],
            {new: self.faults[row] for new, row in enumerate(chosen) if row in self.faults},
            None if self.likeness is None else self.likeness[chosen],
            self.decision,
        )

    def __repr__(self) -> str:
        unread = f", {len(self.faults):,} of which could not be read" if self.faults else ""
        return f"answers about {len(self):,} images{unread}: {len(self.classes):,} classes"

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> Prediction | Unreadable:
        row = range(len(self))[row]
        if row in self.faults:
            return Unreadable(self.names[row], self.faults[row], self.ids[row])
        probabilities = self.probabilities[row]
        best, decided = int(probabilities.argmax()), dict[str, Any]()
        if self.decision is not None:
            best, decided = self._decided(self.decision, self.probabilities[row : row + 1])
        named = dict(zip(self.classes, map(float, probabilities), strict=True))
        likeness = None if self.likeness is None else float(self.likeness[row])
        return Prediction(
            self.names[row], self.classes[best], float(probabilities[best]), named, self.ids[row], likeness, **decided
        )

    def _decided(self, decision: Decision, probabilities: Float[np.ndarray, "1 K"]) -> tuple[int, dict[str, Any]]:
        found: dict[str, Any] = {}
        if decision.least_probability is not None:
            found["sure"] = bool(decision.sure(probabilities)[0])
        if decision.level is not None:
            members = decision.members(probabilities)[0]
            found["classes_in_set"] = tuple(self.classes[number] for number in np.flatnonzero(members))
            found["level"] = decision.level
        return int(decision.predicted(probabilities)[0]), found

    def __iter__(self) -> Iterator[Prediction | Unreadable]:
        return (self[row] for row in range(len(self)))


def gathered_answers(parts: Iterable[Answers]) -> Answers:
    """The answers of a stream as one: what N images of K classes and D features take, 4 · N · (K + D) bytes.

    Raises:
        InputError: there is none, or they are of models with other classes or features.
    """
    several = list(parts)
    if len({(part.classes, part.features.shape[1]) for part in several}) != 1:
        raise InputError(
            "no answers were given" if not several else "these answers are not of one model",
            hint="gather what one predictor says of at least one image",
        )
    starts = np.cumsum([0, *map(len, several)])
    likeness = [part.likeness for part in several if part.likeness is not None]
    return Answers(
        several[0].classes,
        tuple(identity for part in several for identity in part.ids),
        tuple(name for part in several for name in part.names),
        np.concatenate([part.logits for part in several]),
        np.concatenate([part.features for part in several]),
        {
            int(start) + row: reason
            for start, part in zip(starts, several, strict=False)
            for row, reason in part.faults.items()
        },
        np.concatenate(likeness) if len(likeness) == len(several) else None,
        several[0].decision,
    )
