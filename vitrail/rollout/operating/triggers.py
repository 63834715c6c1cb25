"""Do the live figures of a version say that it should be replaced? Pure functions that may be asked at any moment.

Every test is a capital that is bet against "nothing is wrong": while that is so, it reaches 1/α with probability α at
most, however often somebody looks (`measures.anytime_means`, `anytime_counts`, `stream_test`), and begins afresh in
every window (`measures.restarted_tests`). Each trigger has an equal part of the policy's α, so that over the whole life
of a version that nothing is wrong with a proposal is opened with that probability at most. Answers count as
independent; of several images of one patient they are not quite.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from vitrail.measures.anytime_means import log_capital
from vitrail.measures.intervals import wilson
from vitrail.measures.restarted_tests import restarted_log_capital, shares
from vitrail.prediction.answers import UNLIKE
from vitrail.rollout.operating.group_tests import GroupTest, group_tests
from vitrail.rollout.operating.live_figures import LiveFigures
from vitrail.rollout.operating.policy import TriggerKind, TriggerSettings

MOST_BEGINNINGS = 200
"""Of a test; older ones are given up."""


@dataclass(frozen=True)
class Trigger:
    """Why a version should be replaced.

    Attributes:
        kind: of figures.
        about: the group, as `sex=f`; empty where it is about all.
        amount: how bad it is, in [0, 1]: share of unlike images, share of wrong answers, gap.
        sentence: what was seen, for people.
        figures: the numbers, plain values.
    """

    kind: TriggerKind
    about: str
    amount: float
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declined:
    """A proposal that somebody declined.

    Attributes:
        at: when, seconds since 1970.
        amount: that it named.
        seen, unlike: images of all streams by then.
    """

    at: float
    amount: float
    seen: int = 0
    unlike: int = 0


DeclinedByKey = Mapping[tuple[str, str], Declined]
"""The latest by kind and about, of the same version."""


def found_triggers(
    live: LiveFigures, settings: TriggerSettings, declined: DeclinedByKey | None = None
) -> list[Trigger]:
    """What the figures say, in the order shift, accuracy, groups.

    Args:
        live: the figures.
        settings: of the policy.
        declined: what was declined before is opened again only where it got materially worse since.
    """
    before, alpha = declined or {}, settings.alpha / len(settings.triggers)
    found = []
    if "shift" in settings.triggers:
        found.append(shift_trigger(live, settings, alpha, before.get(("shift", ""))))
    if "accuracy" in settings.triggers:
        found.append(accuracy_trigger(live, settings, alpha, before.get(("accuracy", ""))))
    if "fairness" in settings.triggers:
        found += fairness_triggers(live, settings, alpha, before)
    return [each for each in found if each is not None]


def shift_trigger(
    live: LiveFigures, settings: TriggerSettings, alpha: float, declined: Declined | None = None
) -> Trigger | None:
    """Images that come are unlike those that the model knows. Each stream has its own part of α."""
    needed = [alpha * part for part in shares(np.arange(1.0, len(live.streams) + 1))]
    changed = [
        each for each, most in zip(live.streams, needed, strict=True)
        if each.p_value <= most and each.seen >= settings.least_seen
    ]  # fmt: skip
    if not changed:
        return None
    seen, unlike = totals(live)
    if declined is not None:
        more, worse = seen - declined.seen, unlike - declined.unlike
        null = declined.amount + settings.worse_by
        if more < settings.least_seen or _log_capital(worse, more - worse, null=null) < -math.log(alpha):
            return None
    share, p_value = wilson(unlike, seen, name="unlike images"), min(each.p_value for each in changed)
    otherwise = "" if (share.low or 0.0) > UNLIKE else "most are not, but their likeness is distributed otherwise; "
    sentence = (
        f"The images that come are not those that {live.version} knows: of {seen:,}, {share.text()} are unlike, where "
        f"{UNLIKE:.0%} would be; {otherwise}"
        f"by chance a test that is looked at all the time says so with p = {p_value:.2g}."
    )
    figures = {"seen": seen, "unlike": unlike, "share": share.as_json(), "p_value": p_value, "streams": len(changed)}
    return Trigger("shift", "", unlike / seen, sentence, figures)


def totals(live: LiveFigures) -> tuple[int, int]:
    """Images of all streams, and how many were unlike."""
    return sum(each.seen for each in live.streams), sum(each.unlike for each in live.streams)


def accuracy_bound(live: LiveFigures, settings: TriggerSettings) -> float | None:
    """The accuracy below which a version should be replaced; None: neither package nor policy says one."""
    low = None if live.expected is None else live.expected.low
    fallen = None if low is None else low - settings.most_accuracy_fall
    named = [each for each in (fallen, settings.least_accuracy) if each is not None and each > 0]
    return max(named, default=None)


def accuracy_trigger(
    live: LiveFigures, settings: TriggerSettings, alpha: float, declined: Declined | None = None
) -> Trigger | None:
    """Answers are right less often than the package says, or than the policy wants."""
    bound, first = accuracy_bound(live, settings), 0
    if bound is None:
        return None
    if declined is not None:
        bound, first = min(bound, 1 - declined.amount - settings.worse_by), live.window_of(declined.at)
    counts = np.zeros((live.window + 2, 2), dtype=np.int64)
    for each in live.truths:
        counts[min(each.window, live.window + 1), int(each.answer != each.truth)] += each.times
    oldest = max(0, live.window + 1 - first - MOST_BEGINNINGS)
    since = np.cumsum(counts[first + oldest :][::-1], axis=0)[::-1][:-1]  # right and wrong since each beginning
    if not len(since):
        return None
    capitals = np.array([_log_capital(int(wrong), int(right), null=1 - bound) for right, wrong in since])
    total = restarted_log_capital(capitals, first=oldest + 1)
    best = int(np.argmax(capitals + np.log(shares(np.arange(oldest + 1.0, oldest + 1 + len(capitals))))))
    right, wrong = (int(each) for each in since[best])
    if total < -math.log(alpha) or right + wrong < settings.least_truths:
        return None
    measured, p_value = wilson(right, right + wrong, name="live accuracy"), min(1.0, math.exp(-total))
    begun = live.begins(first + oldest + best)
    sentence = (
        f"{live.version} is right less often than it should be: {measured.text()} of the answers whose truth came "
        f"since {_day(begun)}{_as_expected(live)}; at least {bound:.1%} are asked for. By chance it would look so with "
        f"p = {p_value:.2g}."
    )
    figures = {
        "accuracy": measured.as_json(), "bound": bound, "p_value": p_value, "since": begun,
        "expected": None if live.expected is None else live.expected.as_json(),
    }  # fmt: skip
    return Trigger("accuracy", "", wrong / (right + wrong), sentence, figures)


def fairness_triggers(
    live: LiveFigures, settings: TriggerSettings, alpha: float, declined: DeclinedByKey
) -> list[Trigger]:
    """Groups that are wrong more often than the others of their attribute; in windows that are over."""
    margins = {
        about: (each.amount + settings.worse_by, live.window_of(each.at))
        for (kind, about), each in declined.items() if kind == "fairness"
    }  # fmt: skip
    found = []
    for each in group_tests(live, settings.attributes, margin=settings.unfair_from, margins=margins):
        least = min(each.group[1], each.others[1])
        if least >= settings.least_of_group and each.log_capital >= -math.log(alpha * each.part):
            found.append(_of_group(live, each))
    return found


def _of_group(live: LiveFigures, test: GroupTest) -> Trigger:
    (hits, n), (other_hits, others) = test.group, test.others
    one, rest = (wilson(right, of, name="accuracy") for right, of in ((hits, n), (other_hits, others)))
    p_value = min(1.0, math.exp(-test.log_capital))
    sentence = (
        f"{live.version} fares worse for {test.about}: {one.text()} of its answers are right, {rest.text()} of the "
        f"others'; a difference of {test.margin:.0%} or more is unfair. By chance it would look so with p = "
        f"{p_value:.2g}, {test.tests} groups being watched."
    )
    figures = {"group": one.as_json(), "others": rest.as_json(), "margin": test.margin, "p_value": p_value,
               "attribute": test.attribute, "value": test.value, "since": live.begins(test.since)}  # fmt: skip
    return Trigger("fairness", test.about, max(0.0, other_hits / others - hits / n), sentence, figures)


def _log_capital(of_it: int, rest: int, *, null: float) -> float:
    """Bet on a share above the null."""
    if not 0 < null < 1:
        return 0.0
    return log_capital(np.array([0.0, 1.0]), np.array([float(rest), float(of_it)]), null=null, side="above")


def _as_expected(live: LiveFigures) -> str:
    return "" if live.expected is None else f", {live.expected.text()} on its held-out images"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
