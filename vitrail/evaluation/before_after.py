"""Two models on the same images, one before and one after: how good they are, and how far groups lie apart."""

from collections.abc import Mapping
from typing import Any

from vitrail.evaluation.fairness import FairnessSettings, fairness_section
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.section import Section, Sentence
from vitrail.evaluation.subject import NotJudged, Subject
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import Measure


def before_after_section(
    before: JudgedImages, after: JudgedImages, *, attributes: tuple[str, ...] | None = None, seed: int = 0
) -> Section | None:
    """What a replacement changes for groups, on the same images.

    Args:
        before: what the model said that stands.
        after: what the one said that may take its place, about the same images.
        attributes: columns of their table; None: those that divide the images into 2 to 20 groups.
        seed: of intervals.

    Returns:
        Accuracy and, by attribute, the gap in accuracy and the widest gap in how often a class is recognised, of both
        and with intervals; None where no attribute divides the images into groups.
    """
    settings = FairnessSettings(attributes=attributes, cross_attributes=False)
    try:
        both = [fairness_section(Subject(each, seed=seed), settings).figures["attributes"] for each in (before, after)]
    except NotJudged:
        return None
    found = {name: _gaps(*(each[name] for each in both)) for name in both[0] if name in both[1]}
    right = {
        when: accuracy(each.labels, each.predicted, groups=each.groups, seed=seed).as_json()
        for when, each in (("before", before), ("after", after))
    }
    sentences = [_sentence(name, gaps["accuracy gap"]) for name, gaps in found.items()]
    return Section("before_after", 1, "Before and after", {"accuracy": right, "attributes": found}, sentences)


def _gaps(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    gaps = {"accuracy gap": [each["accuracy"]["difference"] for each in (before, after)]}
    classes = before["classes"]
    widest = max(classes, key=lambda name: classes[name]["equal_opportunity_difference"]["value"] or 0.0)
    gaps[f"gap in recognising {widest}"] = [
        each["classes"][widest]["equal_opportunity_difference"] for each in (before, after) if widest in each["classes"]
    ]
    return {name: dict(zip(("before", "after"), pair, strict=False)) for name, pair in gaps.items()}


def _sentence(name: str, gap: Mapping[str, Any]) -> Sentence:
    one, other = (Measure.from_json(gap[when]) for when in ("before", "after"))
    told = f"Between the groups of {name}, accuracy lies {one.text()} apart before and {other.text()} after."
    if one.value is None or other.value is None or None in (one.low, one.high, other.low, other.high):
        return Sentence(told, "not enough evidence")
    assert one.low is not None and one.high is not None and other.low is not None and other.high is not None
    narrower, wider = other.high < one.low, other.low > one.high
    return Sentence(told, "better" if narrower else "worse" if wider else "not enough evidence")
