"""What studies have in common: finished runs are kept, answers are judged alike, and arms are compared over seeds."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.basics.checks import read_checked_json, write_checked_json
from vitrail.basics.errors import DamagedError, InputError
from vitrail.basics.events import Emit, Recovered, nobody
from vitrail.data.columns import in_split
from vitrail.data.tables import NamedColumns
from vitrail.evaluation.quality import judge
from vitrail.measures.paired import PairedComparison, compare_losses
from vitrail.measures.ranking import auc_pseudo_values
from vitrail.workflows.fit_data import FitImages
from vitrail.workflows.judging import predictions_of

FORMAT = 2
"""Version of what a finished run holds; raised when earlier ones lack something."""


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
    return hashlib.sha256(json.dumps([FORMAT, *facts], sort_keys=True).encode()).hexdigest()[:12]


def kept(file: Path, work: Callable[[], dict[str, Any]], *, emit: Emit = nobody) -> dict[str, Any]:
    """What `work` gives: read from `file` where an earlier call finished it, else done now and written.

    A file that is not what was written is told of, and its work done again.
    """
    hint = "remove it and run the same command again"
    if file.exists():
        try:
            return read_checked_json(file, hint=hint)
        except DamagedError as error:
            emit(Recovered(f"damaged  {error.message}: that run is done again"))
    write_checked_json(file, work())
    return read_checked_json(file, hint=hint)


def judged_arms(images: FitImages, arms: dict[str, np.ndarray], split: str, *, seed: int) -> dict[str, Any]:
    """Figures of every arm, and by image what it adds to them, so that arms can be compared image by image.

    Args:
        images: the image table with its splits.
        arms: (N, K) logits of the split's images, by arm.
        split: that was answered about.
        seed: of the run.
    """
    part, labels = in_split(images.rows, split), images.labelled(split).labels
    figures: dict[str, Any] = {}
    by_image: dict[str, Any] = {}
    for arm, logits in arms.items():
        predictions = predictions_of(part, logits, images.classes, split)
        quality = judge(predictions, seed=seed)
        figures[arm] = {"accuracy": quality.accuracy.as_json(), "auc": quality.auc.as_json()}
        defined = quality.auc.value is not None
        by_image[arm] = {
            "accuracy": (logits.argmax(axis=1) == labels).tolist(),
            "auc": auc_pseudo_values(labels, predictions.probabilities).tolist() if defined else None,
        }
    return {
        "seed": seed,
        "measured_on": split,
        "figures": figures,
        "ids": part["id"].to_pylist(),
        "groups": part["group"].to_pylist(),
        "by_image": by_image,
    }


def gain_over_seeds(
    results: Sequence[dict[str, Any]], arm: str, against: str, figure: str = "accuracy"
) -> PairedComparison:
    """How much higher a figure of `arm` is than that of `against`, as the mean over the seeds.

    An image counts once, with what it adds to the mean in all seeds that held it out; test and bootstrap draw images,
    or groups where there are any.

    Args:
        results: of `judged_arms`, by seed.
        arm: the one that is judged.
        against: the one it is compared with.
        figure: `accuracy` or `auc`, one that every seed has.
    """
    shares: dict[tuple[str, str], float] = defaultdict(float)
    total = 0.0
    for result in results:
        mine, other = (np.array(result["by_image"][name][figure], float) for name in (arm, against))
        differences = mine - other
        total += differences.mean() / len(results)
        around = (differences - differences.mean()) / len(differences) / len(results)
        for identity, group, share in zip(result["ids"], result["groups"], around.tolist(), strict=True):
            shares[identity, group or identity] += share
    gains = total + len(shares) * np.array(list(shares.values()))
    # An image that both arms answer alike is a tie, whatever the sums' last digits.
    gains[np.abs(gains) < 1e-12] = 0.0
    groups = np.unique([group for _, group in shares], return_inverse=True)[1]
    grouped = groups if len(set(groups.tolist())) < len(groups) else None
    return compare_losses(gains, np.zeros_like(gains), groups=grouped)


def mean_figure(results: Sequence[dict[str, Any]], arm: str, figure: str) -> float | None:
    """Over the seeds; None where a seed has no such figure."""
    values = [result["figures"][arm][figure]["value"] for result in results]
    return None if None in values else float(np.mean(values))
