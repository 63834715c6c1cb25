"""Judging answers on every split that was not trained on, with nearest neighbours beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.basics.natural_order import natural_places
from vitrail.data.columns import in_split
from vitrail.data.split import leaked_ids
from vitrail.data.split_images import SplitImages
from vitrail.evaluation.judged_images import JudgedImages, headline_split
from vitrail.evaluation.quality import FIGURE_TITLES, Quality, judge
from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure
from vitrail.pages.plots import LARGEST_MATRIX, confusion_svg, interval_bar, top_confusions


@dataclass(frozen=True)
class Judged:
    """Answers and figures by split; no split here was trained on.

    Attributes:
        classes: names in the order of the outputs.
        images: with the model's answers.
        quality: of these answers.
        neighbours: accuracy of the nearest neighbours.
        leak_free: the model's accuracy without images whose copy or look-alike is among the training images; only for
            splits that hold such images.
    """

    classes: list[str]
    images: dict[str, JudgedImages]
    quality: dict[str, Quality]
    neighbours: dict[str, Measure]
    leak_free: dict[str, Measure]


def judge_splits(
    logits: Mapping[str, Float[np.ndarray, "_ K"]],
    neighbours: Mapping[str, Int[np.ndarray, "_"]],
    images: SplitImages,
    *,
    seed: int,
) -> Judged:
    """Judge every split that was answered about.

    Args:
        logits: the model's answers by split, in the order of the split's rows.
        neighbours: what the nearest neighbours say, as class numbers.
        images: all images of the run.
        seed: of the bootstrap.
    """
    leaked = leaked_ids(images.rows)
    judged = Judged(images.classes, {}, {}, {}, {})
    for split, answered in logits.items():
        answers = answers_about(images, split, answered)
        judged.images[split] = answers
        judged.quality[split] = judge(answers, seed=seed)
        judged.neighbours[split] = accuracy(answers.labels, neighbours[split], groups=answers.groups, seed=seed)
        fresh = np.array([identity not in leaked for identity in answers.ids])
        leak_free = leak_free_accuracy(answers, fresh, seed=seed)
        if leak_free is not None:
            judged.leak_free[split] = leak_free
    return judged


def answers_about(images: SplitImages, split: str, logits: Float[np.ndarray, "N K"]) -> JudgedImages:
    """The images of a split with the logits that were computed for its rows, in their order."""
    return JudgedImages.joined(
        in_split(images.rows, split), images.ids(split), logits, classes=images.classes, measured_on=split
    )  # fmt: skip


def leak_free_accuracy(judged: JudgedImages, fresh: Bool[np.ndarray, "N"], *, seed: int) -> Measure | None:
    """Accuracy on the images that the model did not know from training; None where it knew all of them, or none."""
    if fresh.all() or not fresh.any():
        return None
    left = judged.where(fresh)
    return accuracy(left.labels, left.predicted, groups=left.groups, seed=seed)


def quality_section(judged: Judged) -> Section:
    """How good the model is on every split, beside always answering the same and nearest neighbours."""
    headline = headline_split(judged.quality)
    leak_free = judged.leak_free.get(headline)
    return Section(
        "quality",
        1,
        "How good it is",
        {
            "headline_split": headline,
            "splits": {split: quality.as_json() for split, quality in judged.quality.items()},
            "neighbours": {split: measure.as_json() for split, measure in judged.neighbours.items()},
            "leak_free_accuracy": leak_free.as_json() if leak_free else None,
        },
        sentences=[_verdict(judged.quality[headline])],
        template="sections/quality.html",
        packaged=("headline_split", "splits", "neighbours", "leak_free_accuracy"),
        draw=_drawn,
    )


def _verdict(quality: Quality) -> Sentence:
    decision, usual = quality.verdict.decision, f"always answering “{quality.majority_class}”"
    if decision == "not enough evidence":
        return Sentence(f"Not enough evidence that this beats {usual}", decision)
    return Sentence(f"{decision.capitalize()} than {usual}", decision)


def _drawn(figures: Figures) -> dict[str, Any]:
    quality = _as_people_count(figures["splits"][figures["headline_split"]])
    matrix, classes = np.array(quality["confusion"]), quality["classes"]
    return {
        "quality": quality,
        "titles": FIGURE_TITLES,
        "bar": interval_bar,
        "matrix": confusion_svg(matrix, classes) if len(classes) <= LARGEST_MATRIX else None,
        "confusions": top_confusions(matrix, classes, most=20),
    }


def _as_people_count(quality: Mapping[str, Any]) -> dict[str, Any]:
    """The same judgement with class 2 before class 10; in the JSON they stand in the order of the logits."""
    places = natural_places(quality["classes"])
    return {
        **quality,
        "classes": [quality["classes"][place] for place in places],
        "per_class": [quality["per_class"][place] for place in places],
        "confusion": np.array(quality["confusion"])[np.ix_(places, places)].tolist(),
    }
