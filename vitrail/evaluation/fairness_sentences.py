"""Fairness in words: what a reader needs to know of an attribute before any table."""

from collections.abc import Iterator, Mapping

from vitrail.evaluation.attribute_groups import AttributeGroups
from vitrail.evaluation.section import Figures, Sentence
from vitrail.measures.equal_thresholds import EqualThresholds
from vitrail.measures.fairness import Fairness
from vitrail.pages.numbers import p_value, percent

_NAMED = 3


def sentences_of(name: str, figures: Figures, fair_below: float) -> Iterator[Sentence]:
    """On one attribute: whether answers are right as often, classes recognised as often, and said as often.

    Args:
        name: of the attribute.
        figures: as `attribute_figures` gives them.
        fair_below: the margin.
    """
    accuracy = figures["accuracy"]
    yield Sentence(f"{name}: {_accuracy_words(accuracy, fair_below)}", accuracy["verdict"])
    yield from _class_sentences(name, figures["classes"])
    said = [_said_words(each, one) for each, one in figures["classes"].items() if one["is_fair"] is False]
    if said:
        yield Sentence(f"{name}: {'; '.join(said[:_NAMED])}{_and_more(said, 'class', 'classes')}.")


def _accuracy_words(rate: Figures, fair_below: float) -> str:
    if rate["difference"]["value"] is None:
        return f"cannot be compared, {rate['difference']['undefined_because']}"
    beside = f"{_in(rate, 'lowest')} against {_in(rate, 'highest')}, {_points(rate)}"
    match rate["verdict"]:
        case "unfair":
            return f"right less often for {beside}"
        case "fair":
            return f"right about as often in every group that could be compared ({beside})"
        case _ if rate["p_value"] < 0.05:
            return (
                f"right more often in some groups than in others ({p_value(rate['p_value'])}): {beside}; whether by "
                f"{100 * fair_below:g} points or more, these images are not enough to tell"
            )
        case _:
            return f"not enough evidence whether it is right as often in every group ({beside})"


def _class_sentences(name: str, classes: Mapping[str, Figures]) -> Iterator[Sentence]:
    verdicts = {each: one["equalized_odds_verdict"] for each, one in classes.items()}
    unfair = [each for each, verdict in verdicts.items() if verdict == "unfair"]
    unknown = [each for each, verdict in verdicts.items() if verdict == "not enough evidence"]
    if unfair:
        worst = sorted(unfair, key=lambda each: -(classes[each]["equalized_odds_difference"]["value"] or 0.0))
        words = [_odds_words(each, classes[each]["compared"]) for each in worst[:_NAMED]]
        yield Sentence(f"{name}: {'; '.join(words)}{_and_more(unfair, 'class', 'classes')}", "unfair")
    if unknown:
        which = f"{quoted(unknown[0])}" if len(unknown) == 1 else f"{len(unknown)} of {len(classes)} classes"
        yield Sentence(
            f"{name}: not enough evidence whether {which} {'is' if len(unknown) == 1 else 'are'} recognised, and taken "
            "for others, as often in every group", "not enough evidence",
        )  # fmt: skip
    if not unfair and not unknown:
        every = "every class is" if len(classes) > 1 else f"{quoted(next(iter(classes)))} is"
        yield Sentence(
            f"{name}: {every} recognised about as often in every group that could be compared, and as rarely said by "
            "mistake", "fair",
        )  # fmt: skip


def _odds_words(name: str, compared: Mapping[str, Figures]) -> str:
    words, tpr, fpr = [], compared["tpr"], compared["fpr"]
    if tpr["verdict"] == "unfair":
        words.append(
            f"{quoted(name)} is recognised less often for {_in(tpr, 'lowest')} than for {_in(tpr, 'highest')}, "
            f"{_points(tpr)}"
        )
    if fpr["verdict"] == "unfair":
        words.append(
            f"{quoted(name)} is said by mistake more often for {_in(fpr, 'highest')} than for {_in(fpr, 'lowest')}, "
            f"{_points(fpr)}"
        )
    return ", and ".join(words)


def _said_words(name: str, one: Figures) -> str:
    rate, true = one["compared"]["positive_rate"], one["true_share"]
    high, low = rate["highest"], rate["lowest"]
    said = one["group_positive_rates"]
    return (
        f"{quoted(name)} is said of {percent(said[high]['value'])} of {quoted(high)} and {percent(said[low]['value'])} "
        f"of {quoted(low)} (truly {percent(true[high]['value'])} and {percent(true[low]['value'])})"
    )


def _in(rate: Figures, which: str) -> str:
    return quoted(rate[which])


def quoted(name: str) -> str:
    """A name within a sentence."""
    return f"“{name}”"


def _points(rate: Figures) -> str:
    difference = rate["difference"]
    span = f"{100 * difference['low']:.1f} to {100 * difference['high']:.1f}"
    chance = rate["expected_by_chance"]
    return f"{100 * difference['value']:.1f} points apart ({span}; {100 * chance:.1f} expected by chance alone)"


def _and_more(these: list, one: str, several: str) -> str:
    more = len(these) - _NAMED
    return "" if more <= 0 else f"; and {more} more {one if more == 1 else several}"


def thresholds_words(groups: AttributeGroups, alike: EqualThresholds, fairness: Fairness) -> str:
    """What thresholds for each group would do, and what they would cost."""
    name = fairness.classes[0].name
    at = ", ".join(f"{quoted(each)} {value:.2f}" for each, value in zip(alike.groups, alike.thresholds, strict=True))
    what = f"{quoted(name)} recognised" if alike.target == "recognised" else f"{quoted(name)} said"
    change = alike.accuracy_change
    span = (
        "" if change.low is None or change.high is None else f" ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
    )
    return (
        f"To have {what} as often in every group, it would be said from these probabilities on: {at}. On images that "
        f"did not choose them the groups would then lie {100 * alike.after:.1f} points apart instead of "
        f"{100 * alike.before:.1f}, and accuracy would change by {100 * (change.value or 0):+.1f} points{span}. "
        f"The model would need {groups.name} whenever it is used, which may not be allowed."
    )
