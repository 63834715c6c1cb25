"""Figures of studies: answers of several arms are judged alike, and compared over seeds."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from vitrail.data.columns import in_split
from vitrail.data.split_images import SplitImages
from vitrail.evaluation.judging import answers_about
from vitrail.evaluation.quality import judge
from vitrail.measures.paired import PairedComparison, compare_losses
from vitrail.measures.ranking import auc_pseudo_values


def judged_arms(images: SplitImages, arms: dict[str, np.ndarray], split: str, *, seed: int) -> dict[str, Any]:
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
        judged = answers_about(images, split, logits)
        quality = judge(judged, seed=seed)
        figures[arm] = {"accuracy": quality.accuracy.as_json(), "auc": quality.auc.as_json()}
        defined = quality.auc.value is not None
        by_image[arm] = {
            "accuracy": (logits.argmax(axis=1) == labels).tolist(),
            "auc": auc_pseudo_values(labels, judged.probabilities).tolist() if defined else None,
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
