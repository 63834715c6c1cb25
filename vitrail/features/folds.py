"""Cross-validation folds: each class has its share in every part, and no group stands on both sides."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from vitrail.basics.quiet import quiet

Fold = tuple[np.ndarray, np.ndarray]
"""Positions of the images on one side (fitted on, or asked), and of those on the other (held out, or judged)."""

MANY_CLASSES = "The number of unique classes"
"""How scikit-learn begins to wonder whether hundreds of classes might be a regression."""


def stratified_folds(
    labels: Int[np.ndarray, "N"], count: int, *, groups: Sequence[str] | Int[np.ndarray, "N"] | None, seed: int
) -> list[Fold]:
    """`count` folds; where groups lie badly, a part may be empty or lack a class.

    Args:
        labels: class numbers.
        count: 2 or more, at most as many as the largest class has images, and as there are groups.
        groups: name or number of each image's group; None: every image stands for itself.
        seed: of the shuffle.
    """
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(count, shuffle=True, random_state=seed % 2**32)
    with quiet(message="The least populated class"), quiet(message=MANY_CLASSES):
        return list(splitter.split(np.zeros(len(labels)), labels, groups))
