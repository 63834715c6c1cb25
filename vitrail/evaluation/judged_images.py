"""Judged images: an image table beside what a model said about it. What every evaluation takes."""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from scipy.special import softmax

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.data.columns import labels_of
from vitrail.data.split_images import numbered_groups
from vitrail.evaluation.joining import (
    answer_places,
    as_mask,
    faults_of,
    refuse_uneven_answers,
    refuse_what_is_no_number,
)
from vitrail.models.parts.decision import Decision
from vitrail.prediction.answers import Answers

HEADLINE_ORDER = ("test", "val")
"""The split whose accuracy stands on top: the first of these that was judged, otherwise the first judged one."""


def headline_split(judged: Collection[str]) -> str:
    """Which of the judged splits stands on top.

    >>> headline_split(["val", "test"])
    'test'
    """
    return next(split for split in (*HEADLINE_ORDER, *judged) if split in judged)


@dataclass(frozen=True, eq=False, repr=False)
class JudgedImages:
    """Images whose labels are known, and what a model said about each; row i is the same image in every field.

    Args:
        rows: of an image table that has ids: path, label, group, and whatever attributes it has.
        probabilities: [N, K], each row in [0, 1] with sum 1.
        classes: the K class names, in the order of the columns.
        measured_on: the split these images are: "val", "test", …
        groups: number of the patient (or whatever images share) of each image; None where all images are independent.
        features: pooled features [N, D], where somebody computed them.
        unread: by path, why images of the table could not be read; they are in no row.
        decision: how the package makes answers of probabilities; None: the most probable class is answered.

    Raises:
        InputError: a column is missing, lengths differ, there is no image, a label is no class, a row is no probability
            distribution.
    """

    rows: pa.Table
    probabilities: Float[np.ndarray, "_ K"]
    classes: tuple[str, ...]
    measured_on: str
    groups: Int[np.ndarray, "N"] | None = None
    features: Float[np.ndarray, "_ D"] | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    decision: Decision | None = None

    def __post_init__(self) -> None:
        _check_columns(self.rows)
        _check_lengths(self)
        _check_classes(self)
        _check_probabilities(self)

    @classmethod
    def joined(
        cls,
        rows: pa.Table,
        ids: Sequence[str],
        logits: Float[np.ndarray, "M K"],
        *,
        classes: Sequence[str],
        measured_on: str,
        features: Float[np.ndarray, "M D"] | None = None,
    ) -> "JudgedImages":
        """Answers beside the images that they are about, joined by id.

        Copies of an image share its id and may have been answered one by one: the first answer is the first copy's.

        Args:
            rows: of an image table that has ids.
            ids: of the answered images, in any order; all of `rows` are among them.
            logits: one row per id.
            classes: names in the order of the logits.
            measured_on: which split this is.
            features: one row per id.

        Raises:
            InputError: an image was not answered about, or ids, logits and features are not equally many.
            TrainingFault: an answer is not a number; figures of it would be none either.
        """
        _check_columns(rows)
        refuse_uneven_answers(ids, logits, features)
        places = answer_places(rows, ids)
        answered = logits[places].astype(np.float64)
        refuse_what_is_no_number(answered, rows, measured_on)
        return cls(
            rows,
            softmax(answered, axis=1),
            tuple(classes),
            measured_on,
            numbered_groups(rows) if rows["group"].null_count < len(rows) else None,
            None if features is None else features[places],
        )

    @classmethod
    def of_answers(cls, rows: pa.Table, answers: Answers, *, measured_on: str) -> "JudgedImages":
        """What a predictor said, beside the images of a table; those it could not read are in `unread`.

        >>> checked = vitrail.check("photos/new")  # doctest: +SKIP
        >>> answers = gathered_answers(predictor.answers("photos/new"))  # doctest: +SKIP
        >>> JudgedImages.of_answers(checked.table, answers, measured_on="new photos")  # doctest: +SKIP

        Args:
            rows: of an image table that has ids and labels.
            answers: about all of `rows`, and any others, in any order.
            measured_on: what these images are called.

        Raises:
            InputError: an image was not answered about, or its label is no class of the model.
        """
        _check_columns(rows)
        faults = faults_of(rows, answers)
        read = np.array([row not in answers.faults for row in range(len(answers))], dtype=bool)
        judged = cls.joined(
            rows.filter(pa.array([fault is None for fault in faults], pa.bool_())),
            np.array(answers.ids, dtype=object)[read].tolist(),
            answers.logits[read],
            classes=answers.classes,
            measured_on=measured_on,
            features=answers.features[read],
        )
        paths = rows["path"].to_pylist()
        unread = {path: fault for path, fault in zip(paths, faults, strict=True) if fault}
        return replace(judged, unread=unread, decision=answers.decision)

    def __repr__(self) -> str:
        unread = f", {len(self.unread):,} more could not be read" if self.unread else ""
        return f"{len(self):,} judged images ({self.measured_on}) of {len(self.classes):,} classes{unread}"

    def __len__(self) -> int:
        return len(self.probabilities)

    @functools.cached_property
    def ids(self) -> list[str]:
        """Ids of the images; copies share theirs."""
        return list(self.rows["id"].to_pylist())

    @functools.cached_property
    def paths(self) -> list[str]:
        """Where the images lie."""
        return list(self.rows["path"].to_pylist())

    @functools.cached_property
    def labels(self) -> Int[np.ndarray, "N"]:
        """Number of the true class, an index into `classes`."""
        return labels_of(self.rows, list(self.classes))

    @functools.cached_property
    def predicted(self) -> Int[np.ndarray, "N"]:
        """Number of the class that is answered: the most probable one, or what the package's decision says."""
        return self.most_probable if self.decision is None else self.decision.predicted(self.probabilities)

    @functools.cached_property
    def most_probable(self) -> Int[np.ndarray, "N"]:
        """Number of the most probable class, whatever a decision makes of it: what a reference knows images by."""
        return self.probabilities.argmax(axis=1)

    @property
    def group_count(self) -> int | None:
        """How many groups the images have; None where all are independent."""
        return None if self.groups is None else int(self.groups.max()) + 1

    @property
    def majority_class(self) -> str:
        """The class that most of the images have."""
        return self.classes[int(np.bincount(self.labels).argmax())]

    def where(self, mask: Any) -> "JudgedImages":
        """Those of the images for which `mask` is true; groups that are no longer there have no number.

        >>> judged.where(judged.attribute("site") == "A")  # doctest: +SKIP
        >>> judged.where(pyarrow.compute.greater(judged.rows["age"], 60))  # doctest: +SKIP

        Args:
            mask: True or False for every image, as a list, NumPy, pandas or Arrow; an empty value (of a comparison with
                a missing age, say) counts as False.

        Raises:
            InputError: not one value per image, not true or false, or no image is left.
        """
        kept = as_mask(mask, len(self))
        groups = None if self.groups is None else np.unique(self.groups[kept], return_inverse=True)[1]
        features = None if self.features is None else self.features[kept]
        return replace(
            self, rows=self.rows.filter(pa.array(kept)), probabilities=self.probabilities[kept], groups=groups,
            features=features, unread={},
        )  # fmt: skip

    def attribute(self, name: str) -> np.ndarray:
        """A column of the image table, as Python values [N]; None where it is empty.

        >>> judged.attribute("site")  # doctest: +SKIP
        array(['A', 'B', None], dtype=object)

        Raises:
            InputError: there is no such column.
        """
        if name not in self.rows.column_names:
            known = self.rows.column_names
            raise InputError(
                f"the image table has no column {name!r}",
                hint=did_you_mean(name, known) or f"it has {', '.join(known)}",
            )
        return np.array([*self.rows[name].to_pylist(), None], dtype=object)[:-1]


def _check_columns(rows: pa.Table) -> None:
    missing = [name for name in ("path", "label", "id", "group") if name not in rows.column_names]
    if missing:
        raise InputError(
            f"judged images need an image table with a column {missing[0]!r}, got {', '.join(rows.column_names)}",
            hint="vitrail.check(DATA).table is one",
        )


def _check_lengths(judged: JudgedImages) -> None:
    beside: dict[str, Any] = {
        "probabilities": judged.probabilities, "groups": judged.groups, "features": judged.features,
    }  # fmt: skip
    lengths = {"rows": judged.rows.num_rows, **{name: len(each) for name, each in beside.items() if each is not None}}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise InputError(f"judged images need one entry per image in every field, got {shown}")
    if not lengths["rows"]:
        raise InputError(
            f"there are no predictions on {judged.measured_on!r} to judge",
            hint="check that the split has readable images: vitrail check DATA",
        )


def _check_classes(judged: JudgedImages) -> None:
    columns, classes = judged.probabilities.shape[1], judged.classes
    if columns != len(classes):
        raise InputError(f"probabilities have {columns} columns, but there are {len(classes)} classes")
    unknown = sorted(set(map(str, judged.rows["label"].to_pylist())) - set(classes))
    if unknown:
        raise InputError(
            f"the label {unknown[0]!r} is no class of the model, which knows {', '.join(classes[:8])}"
            f"{' …' if len(classes) > 8 else ''}",
            hint=did_you_mean(unknown[0], classes) or "leave these images out, or name their class as the model does",
        )


def _check_probabilities(judged: JudgedImages) -> None:
    probabilities = judged.probabilities
    # Half precision adds up to 1 within 1e-2 for many classes; anything further off is not a softmax.
    fine = (probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) < 1e-2)
    if not fine.all():
        row = int(np.flatnonzero(~fine)[0])
        total = float(probabilities[row].sum())
        raise InputError(
            f"{(~fine).sum()} of {len(fine)} rows are no probabilities; the first is that of "
            f"{judged.paths[row]}, with sum {total:.4g} and smallest value {float(probabilities[row].min()):.4g}",
            hint="apply softmax to the logits first",
        )
