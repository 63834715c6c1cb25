"""Some of the training images: drawn anew with every seed, all classes in proportion."""

import numpy as np
import pyarrow as pa

from vitrail.basics.errors import InputError
from vitrail.basics.seeds import derived_seed
from vitrail.data.columns import in_split


def drawn_training_rows(
    rows: pa.Table, *, count: int | None = None, per_class: int | None = None, seed: int
) -> pa.Table:
    """Some of the training images, all classes in proportion.

    Args:
        rows: an image table with its splits.
        count: how many in all; None: all.
        per_class: how many of every class, instead of a count.
        seed: of the draw.

    Raises:
        InputError: there are fewer than were asked for, or classes without any would remain.
    """
    training = in_split(rows, "train")
    labels = np.array(training["label"].to_pylist())
    rank, size = _ranks(labels, np.random.default_rng(derived_seed(seed, "few")))
    if per_class is not None:
        return training.take(np.flatnonzero(rank < per_class))
    if count is None:
        return training
    if not len(set(labels)) <= count <= len(labels):
        raise InputError(
            f"{count} training images were asked for; there are {len(labels)} of {len(set(labels))} classes",
            hint=f"--train {len(labels) // 2}, or leave it out",
        )
    # First an image of every class, then in proportion.
    order = np.lexsort(((rank + 0.5) / size, rank > 0))
    return training.take(np.sort(order[:count]))


def divided_for_rates(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Four fifths of the training images, and the fifth by which a rate is chosen."""
    rank, size = _ranks(np.array(rows["label"].to_pylist()), np.random.default_rng(0))
    choosing = (rank + 0.5) / size > 0.8
    return rows.filter(pa.array(~choosing)), rows.filter(pa.array(choosing))


def _ranks(labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Every image's place in a random order of its class, from 0, and how many that class has."""
    rank, size = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members], size[members] = generator.permutation(len(members)), len(members)
    return rank, size


def few_of_every_class(rows: pa.Table, *, train: int, val: int, seed: int) -> pa.Table:
    """So many training and validation images of every class, and no others.

    Args:
        rows: images with labels.
        train: training images of a class; all where it has no more.
        val: validation images of a class.
        seed: of the draw.
    """
    rank, _ = _ranks(np.array(rows["label"].to_pylist()), np.random.default_rng(derived_seed(seed, "few")))
    splits = pa.array(np.where(rank < train, "train", "val"), pa.string())
    placed = rows.drop_columns(["split"]) if "split" in rows.column_names else rows
    return placed.append_column("split", splits).filter(pa.array(rank < train + val))
