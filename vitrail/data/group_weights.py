"""How much each image counts, so that every group of every class counts the same in all."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.data.columns import FIXED

MOST_GROUPS = 50
"""Different values of an attribute from which it is no longer one but an identifier, or a number to be cut into
ranges first."""


def group_weights(rows: pa.Table, attribute: str) -> Float[np.ndarray, "N"]:
    """The weight of each row, N / (C · n): n rows are of its group and class, C pairs of these there are.

    The mean is 1, every group of a class weighs as much as any other, and so do classes that have as many groups. Rows
    without a value are a group of their own.

    Source: inverse frequencies of group and class, as N. Sagawa et al. (2020), Distributionally Robust Neural Networks,
    section 5, and B. Idrissi et al. (2022), Simple data balancing achieves competitive worst-group-accuracy, have them;
    scikit-learn's `class_weight="balanced"` with groups beside classes.

    >>> table = pa.table({"label": ["a", "a", "a", "b"], "sex": ["f", "m", "m", "f"]})
    >>> group_weights(table, "sex").round(3)
    array([1.333, 0.667, 0.667, 1.333])

    Args:
        rows: of the training images, with `label` and the attribute.
        attribute: name of a column.

    Raises:
        InputError: there is no such column, it has one value only, or too many for groups.
    """
    there = [name for name in rows.column_names if name not in FIXED]
    if attribute not in there:
        hint = did_you_mean(attribute, there) or "a column of the table beside path, label, split and group"
        raise InputError(f"reweight_by is {attribute!r}, no attribute of the images", hint=hint)
    groups = [str(value) for value in rows[attribute].to_pylist()]
    count = len(set(groups))
    if not 2 <= count <= MOST_GROUPS:
        raise InputError(
            f"reweight_by: {attribute} has {count:,} different values among the training images, 2 to {MOST_GROUPS} "
            "were expected",
            hint="cut numbers into ranges, or name an attribute with groups",
        )
    return _weights(list(zip(groups, rows["label"].to_pylist(), strict=True)))


def _weights(pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "N"]:
    names = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    numbers = np.array([names[pair] for pair in pairs])
    counts = np.bincount(numbers)
    return len(pairs) / (len(counts) * counts[numbers].astype(np.float64))


def weights_words(weights: Float[np.ndarray, "N"] | None, attribute: str | None) -> list[str]:
    """That images count differently, as a sentence for reports; none where they do not."""
    if weights is None:
        return []
    least, most = float(weights.min()), float(weights.max())
    return [
        f"In probe and training, images count by {attribute}: every group of every class as much as any other, single "
        f"images {least:.2g} to {most:.2g} times as much as on average."
    ]
