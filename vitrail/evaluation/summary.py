"""The first screen of a report: how often right, on whom not, what was not tested, what it must not be used for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.pages.guidance import ELSEWHERE, UNTESTED, cautions_for
from vitrail.pages.numbers import count, how_often, split_name

LEAST_IMAGES = 10
"""Images of a class below which it was hardly tested, and is not called the weakest."""

WEAKEST = 3
"""Classes that are named as the weakest."""

SIGNIFICANT = 0.05
"""p-value below which groups differ by more than chance, be it by more or less than fairness allows."""

IMPROVEMENTS = ("tta",)
"""Evaluations that look for better answers: where they were not done, nothing remains untested."""


def summary_section(
    sections: Mapping[str, Section],
    not_judged: Mapping[str, str],
    classes: Sequence[str],
    attributes: Iterable[str] = (),
    *,
    commands: Sequence[str] = (),
) -> Section:
    """What a doctor needs to know before anything else, in plain words; every number of it stands in other sections.

    Args:
        sections: of the same report, by name; `quality` and `fairness` are told of where they are there.
        not_judged: why, by the name of every evaluation that was not done; empty where there is no more to say.
        classes: names of the classes, which hint at the task.
        attributes: columns beside the images, which do, too.
        commands: what to type to test what was not tested.
    """
    quality, fairness = (sections[name].figures if name in sections else None for name in ("quality", "fairness"))
    figures = {
        "right": None if quality is None else _right(quality),
        **_classes(quality),
        "weakest_group": None if fairness is None else _weakest_group(fairness),
        "not_tested": [*_not_tested(not_judged), {"evaluation": None, "what": ELSEWHERE, "why": ""}],
        "commands": list(commands),
        "not_for": [each.as_json() for each in cautions_for(classes, attributes)],
    }
    sentences = [Sentence(text) for text in _told(figures)]
    return Section("summary", 1, "In short", figures, sentences, "sections/summary.html")


def _right(quality: Figures) -> dict[str, Any]:
    split = quality["splits"][quality["headline_split"]]
    kept = ("measured_on", "n", "groups", "accuracy", "majority", "majority_class")
    return {
        **{name: split[name] for name in kept},
        "verdict": split["verdict"]["decision"],
        "leak_free_accuracy": quality["leak_free_accuracy"],
    }


def _classes(quality: Figures | None) -> dict[str, Any]:
    """Those with the lowest recall among the classes that were tested on enough images, and those that were not."""
    judged = [] if quality is None else quality["splits"][quality["headline_split"]]["per_class"]
    enough = [each for each in judged if each["support"] >= LEAST_IMAGES]
    ranked = sorted(enough, key=lambda each: each["recall"]["value"])
    return {
        "class_count": len(judged),
        "weakest_classes": [{"name": each["name"], "recall": each["recall"]} for each in ranked[:WEAKEST]],
        "hardly_tested_classes": {each["name"]: each["support"] for each in judged if each["support"] < LEAST_IMAGES},
    }


def _weakest_group(fairness: Figures) -> dict[str, Any] | None:
    """The group for which answers are most seldom right; of several attributes the one that sets groups most apart."""
    compared = {name: one["accuracy"] for name, one in fairness["attributes"].items() if one["accuracy"]["lowest"]}
    if not compared:
        return None
    order = ["unfair", "not enough evidence", "fair"]
    name = min(compared, key=lambda each: (order.index(compared[each]["verdict"]), -_apart(compared[each])))
    rate = compared[name]
    return {
        "attribute": name,
        "group": rate["lowest"],
        "accuracy": rate["by_group"][rate["lowest"]],
        "best_group": rate["highest"],
        "best_accuracy": rate["by_group"][rate["highest"]],
        "verdict": rate["verdict"],
        "beyond_chance": rate["p_value"] is not None and rate["p_value"] < SIGNIFICANT,
    }


def _apart(rate: Figures) -> float:
    return rate["difference"]["value"] or 0.0


def _not_tested(not_judged: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for name, why in not_judged.items():
        if name not in IMPROVEMENTS:
            yield {"evaluation": name, "what": UNTESTED.get(name, name), "why": why}


def _told(figures: Figures) -> Iterator[str]:
    right, weakest, group = figures["right"], figures["weakest_classes"], figures["weakest_group"]
    if right is None:
        yield "How often it is right was not judged."
    else:
        yield (
            f"Right on {how_often(right['accuracy'])} (measured on {count(right['n'])} "
            f"{split_name(right['measured_on'])} images)."
        )
    if weakest:
        recall = weakest[0]["recall"]
        yield (
            f"Weakest on “{weakest[0]['name']}”: {how_often(recall)} are recognised (measured on "
            f"{count(recall['n'])} images)."
        )
    if group is not None:
        yield (
            f"By {group['attribute']}, weakest on “{group['group']}”: right on {how_often(group['accuracy'])} "
            f"(measured on {count(group['accuracy']['n'])} images)."
        )
    yield f"Not tested: {'; '.join(each['what'] for each in figures['not_tested'])}."
    yield f"Not made for: {'; '.join(each['topic'] for each in figures['not_for'])}."
