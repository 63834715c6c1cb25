"""The fairness section: whether groups of people, sites or whatever a table says are treated alike."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.seeds import derived_seed
from vitrail.basics.settings import Settings
from vitrail.evaluation.attribute_groups import AttributeGroups, attribute_groups, crossed, usual_attributes
from vitrail.evaluation.fairness_figures import attribute_figures
from vitrail.evaluation.fairness_sentences import sentences_of, thresholds_words
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.section import Figures, Section
from vitrail.evaluation.subject import NotJudged, Subject
from vitrail.measures.equal_thresholds import EqualThresholds, Target, equal_thresholds
from vitrail.measures.fairness import Fairness, decided_together, fairness_of
from vitrail.measures.fairness_rates import FAIR_BELOW, LEAST_GROUP, Compared

MOST_CROSSED = 3
"""Attributes up to which every two are crossed by themselves."""

MOST_USUAL = 8
"""Attributes that are looked at where none are named."""


def _listed(names: Any) -> Any:
    return [each.strip() for each in names.split(",") if each.strip()] if isinstance(names, str) else names


class FairnessSettings(Settings):
    """How fairness is judged."""

    attributes: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    """Columns of the table whose groups are compared, e.g. `sex,age`; `sex*age` crosses two. None: those that divide
    the images into 2 to 20 groups."""
    least_group: Annotated[int, Field(ge=1)] = LEAST_GROUP
    """Images (patients, where images come in such) that a group needs to be compared."""
    fair_below: Annotated[float, Field(gt=0, lt=1)] = FAIR_BELOW
    """A difference between groups from here on is unfair: 0.1 is ten points of a hundred."""
    fairness_class: str | None = None
    """Of two classes the one that rates are about; None: the second."""
    cross_attributes: bool = True
    """Whether two or three attributes are also crossed with each other."""


def fairness_section(subject: Subject, settings: FairnessSettings | None = None) -> Section:
    """Whether groups are treated alike, attribute by attribute.

    Raises:
        NotJudged: the table has no attribute that divides the images into groups.
        InputError: there is no such column or class.
    """
    settings = settings or FairnessSettings()
    judged, not_judged = subject.judged, dict[str, str]()
    found = _groups(judged, settings, not_judged)
    if not found:
        raise NotJudged(_why_none(not_judged))
    rates = [_fairness(judged, each, settings, subject.seed) for each in found]
    rates = decided_together(rates, fair_below=settings.fair_below)
    attributes = {}
    for groups, fairness in zip(found, rates, strict=True):
        alike = [] if len(judged.classes) > 2 else _equal_thresholds(judged, groups, fairness, settings, subject.seed)
        told = [*groups.told, *(thresholds_words(groups, each, fairness) for each in alike)]
        attributes[groups.name] = attribute_figures(fairness, told, alike, groups)
    figures = {
        "fair_below": settings.fair_below, "least_group": settings.least_group, "attributes": attributes,
        "not_judged": not_judged,
    }  # fmt: skip
    sentences = [each for name, one in attributes.items() for each in sentences_of(name, one, settings.fair_below)]
    return Section(
        "fairness", 1, "Is it as good for every group?", figures, sentences, "sections/fairness.html", draw=_drawn
    )  # fmt: skip


def usual_fairness(judged: JudgedImages) -> Section | None:
    """The section on attributes that stand in the table of a fit; None where none divides the images into groups."""
    try:
        return fairness_section(Subject(judged))
    except NotJudged:
        return None


def _why_none(not_judged: dict[str, str]) -> str:
    if not_judged:
        return "; ".join(not_judged.values())
    return "the table has no attribute with 2 to 20 values; a column such as sex or site is one"


def _groups(judged: JudgedImages, settings: FairnessSettings, not_judged: dict[str, str]) -> list[AttributeGroups]:
    """Groups by attribute; what cannot be grouped is put into `not_judged`."""
    asked = settings.attributes
    names = usual_attributes(judged) if asked is None else list(dict.fromkeys(asked))
    for name in names[MOST_USUAL:] if asked is None else []:
        not_judged[name] = f"{name}: only the first {MOST_USUAL} attributes are judged where none are named"
    found = []
    for name in names[:MOST_USUAL] if asked is None else names:
        try:
            found.append(attribute_groups(judged, name, least_group=settings.least_group))
        except NotJudged as reason:
            not_judged[name] = str(reason)
    plain = [each for each in found if "×" not in each.name]
    if settings.cross_attributes and asked is not None and 1 < len(plain) <= MOST_CROSSED:
        there = {each.name for each in found}
        pairs = [crossed(one, other) for place, one in enumerate(plain) for other in plain[place + 1 :]]
        found += [each for each in pairs if each.name not in there]
    return found


def _fairness(judged: JudgedImages, groups: AttributeGroups, settings: FairnessSettings, seed: int) -> Fairness:
    compared = Compared(
        groups.names, groups.compared, judged.classes, _positive(judged, settings), settings.least_group,
        settings.fair_below, derived_seed(seed, groups.name),
    )  # fmt: skip
    return fairness_of(groups.numbers, judged.labels, judged.predicted, compared, patients=judged.groups)


def _positive(judged: JudgedImages, settings: FairnessSettings) -> int:
    if settings.fairness_class is None:
        return 1
    if settings.fairness_class not in judged.classes:
        raise InputError(
            f"fairness_class is {settings.fairness_class!r}, no class of the model",
            hint=did_you_mean(settings.fairness_class, judged.classes) or f"it knows {', '.join(judged.classes[:8])}",
        )
    return judged.classes.index(settings.fairness_class)


def _equal_thresholds(
    judged: JudgedImages, groups: AttributeGroups, fairness: Fairness, settings: FairnessSettings, seed: int
) -> list[EqualThresholds]:
    """What thresholds for each group would do, where there are two groups or more that can be compared."""
    positive, one = _positive(judged, settings), fairness.classes[0]
    targets: Sequence[tuple[Target, Any]] = (("recognised", one.tpr), ("said", one.positive_rate))
    found = []
    for target, rate in targets:
        kept = [g for g, name in enumerate(groups.names) if name not in rate.left_out]
        if len(kept) < 2:
            continue
        inside = np.isin(groups.numbers, kept)
        place = np.full(len(groups.names), -1)
        place[kept] = np.arange(len(kept))
        patients = None if judged.groups is None else np.unique(judged.groups[inside], return_inverse=True)[1]
        made = equal_thresholds(
            place[groups.numbers[inside]], judged.labels[inside] == positive,
            judged.probabilities[inside, positive], judged.predicted[inside] == positive,
            target=target, patients=patients, seed=seed,
        )  # fmt: skip
        if made is not None:
            names = tuple(groups.names[g] for g in kept)
            found.append(replace(made, groups=names))
    return found


def _drawn(figures: Figures) -> dict[str, Any]:
    """Classes of every attribute with the greatest differences first."""
    ranked = {}
    for name, one in figures["attributes"].items():
        classes = one["classes"]
        ranked[name] = sorted(classes, key=lambda each: -(classes[each]["equalized_odds_difference"]["value"] or -1.0))
    return {"ranked": ranked}
