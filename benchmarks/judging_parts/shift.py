"""Mahalanobis distances of a million images: fit and score, beside the matrix products that nobody can do without.

The products are those of the same rows in float64, in pieces: rows transposed times rows (for the covariance), and rows
times the whitening matrix and times the class means (for the distances).
"""

from typing import Any

import numpy as np

from benchmarks.figures import median_with_interval, paired_ratio
from benchmarks.judging_parts.turns import timed_in_turns
from vitrail.measures.mahalanobis import fit_class_distances, mahalanobis_distance

ROWS, WIDTH, CLASSES, TURNS = 1_000_000, 384, 10, 3
PIECE = 8192


def measured(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds of both, and how many times the products' time fit and score take."""
    count = 5000 if smoke else ROWS
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, count)
    rows = random.standard_normal((count, WIDTH), dtype=np.float32)
    rows += 3 * np.eye(CLASSES, WIDTH, dtype=np.float32)[labels]
    ways = {
        "vitrail": lambda: mahalanobis_distance(fit_class_distances(rows, labels), rows),
        "products": lambda: products(rows),
    }
    seconds = timed_in_turns(ways, turns=(1 if smoke else TURNS) * repeats, warm=smoke)
    return {
        "rows": count, "features": WIDTH, "classes": CLASSES,
        **{f"{name}_seconds": median_with_interval(found) for name, found in seconds.items()},
        "times_the_products": paired_ratio(seconds["vitrail"], seconds["products"]),
    }  # fmt: skip


def products(rows: np.ndarray) -> float:
    """What a fit and a score multiply, and nothing else."""
    whitening, means = np.eye(WIDTH), np.zeros((WIDTH, CLASSES))
    scatter, last = np.zeros((WIDTH, WIDTH)), 0.0
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE].astype(np.float64)
        scatter += piece.T @ piece
    for start in range(0, len(rows), PIECE):
        whitened = rows[start : start + PIECE].astype(np.float64) @ whitening
        last += float((whitened @ means)[0, 0])
    return float(scatter[0, 0]) + last
