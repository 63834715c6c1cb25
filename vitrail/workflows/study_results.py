"""What studies have in common: finished runs are kept, answers are judged alike, and arms are compared over seeds."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.basics.errors import InputError
from vitrail.basics.files import write_json
from vitrail.data.columns import in_split
from vitrail.data.tables import NamedColumns
from vitrail.evaluation.quality import judge
from vitrail.measures.paired import PairedComparison, compare_losses
from vitrail.workflows.fit_data import FitImages
from vitrail.workflows.judging import predictions_of


def named(data: Sequence[Any]) -> dict[str, Any]:
    """Data sets by the last part of their path, under which the study tells of them.

    Raises:
        InputError: two of them end in the same name.
    """
    by_name: dict[str, Any] = {}
    for source in data:
        path = Path(NamedColumns.of(source).data)
        if path.stem in by_name:
            raise InputError(
                f"two data sets of the study are called {path.stem!r}; the second is {path}",
                hint="study them one after the other, each with its own --out",
            )
        by_name[path.stem] = source
    return by_name


def key_of(*facts: Any) -> str:
    """Changes when anything does that a finished run depends on, so that runs are kept and never mixed up."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def kept(file: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives: read from `file` where an earlier call finished it, else done now and written."""
    if not file.exists():
        write_json(file, work())
    return json.loads(file.read_text())


def judged_arms(images: FitImages, arms: dict[str, np.ndarray], split: str, *, seed: int) -> dict[str, Any]:
    """Figures of every arm, and which images each got right, by image.

    Args:
        images: the image table with its splits.
        arms: (N, K) logits of the split's images, by arm.
        split: that was answered about.
        seed: of the run.
    """
    part, labels = in_split(images.rows, split), images.labelled(split).labels
    figures = {}
    for arm, logits in arms.items():
        quality = judge(predictions_of(part, logits, images.classes, split), seed=seed)
        figures[arm] = {"accuracy": quality.accuracy.as_json(), "auc": quality.auc.as_json()}
    return {
        "seed": seed,
        "measured_on": split,
        "figures": figures,
        "ids": part["id"].to_pylist(),
        "groups": part["group"].to_pylist(),
        "right": {arm: (logits.argmax(axis=1) == labels).tolist() for arm, logits in arms.items()},
    }


def gain_over_seeds(results: Sequence[dict[str, Any]], arm: str, against: str) -> PairedComparison:
    """How much more often `arm` is right than `against`: every image's mean over the seeds that held it out,
    bootstrapped over images, or over groups where there are any."""
    wrong: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for result in results:
        pairs = zip(result["right"][arm], result["right"][against], strict=True)
        for identity, group, (mine, other) in zip(result["ids"], result["groups"], pairs, strict=True):
            wrong[identity, group or identity].append((1.0 - mine, 1.0 - other))
    means = np.array([np.mean(pairs, axis=0) for pairs in wrong.values()])
    groups = np.unique([group for _, group in wrong], return_inverse=True)[1]
    grouped = groups if len(set(groups.tolist())) < len(groups) else None
    return compare_losses(means[:, 1], means[:, 0], groups=grouped)


def mean_figure(results: Sequence[dict[str, Any]], arm: str, figure: str) -> float | None:
    """Over the seeds; None where a seed has no such figure."""
    values = [result["figures"][arm][figure]["value"] for result in results]
    return None if None in values else float(np.mean(values))
