"""May the truths that users tell be believed? Permuted feedback must not become training labels unnoticed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from vitrail.measures.intervals import Measure, as_percent, wilson
from vitrail.monitoring.counted_truths import CountedTruths

NEAR_CHANCE = 0.1
"""So much of the way from chance to always right counts as chance, still."""
HALFWAY = 0.5
"""That far from chance to what is usual must the upper limit of the agreement not reach."""
MOSTLY = 0.8
"""Agreement after names were exchanged from which on it is said that they look exchanged."""


@dataclass(frozen=True)
class FeedbackVerdict:
    """Whether feedback is trained on.

    Attributes:
        is_believed: whether it is, where nobody decides otherwise.
        sentence: why, for people.
        n: answers whose truth came.
        agreement: how often the truth was what was answered; None: there is no truth.
        by_chance: how often it would be if truths had nothing to do with answers.
        exchanged: by class, what its truths are called, where they look exchanged.
    """

    is_believed: bool
    sentence: str
    n: int
    agreement: float | None = None
    by_chance: float | None = None
    exchanged: Mapping[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def feedback_verdict(
    truths: Sequence[CountedTruths], *, expected: Measure | None, changed: bool | None, least: int
) -> FeedbackVerdict:
    """Compare feedback with chance and with what the model is worth on images whose labels are known.

    A model that suddenly does no better than chance, on images that are like those it knows and on which it was good,
    is less likely than feedback that is wrong. The test is one of plausibility: who knows better may say so.

    Args:
        truths: of the answers that would be trained on.
        expected: the model's accuracy on held-out images; None: not known.
        changed: whether images are unlike those that the model knows; None: nobody looked.
        least: fewer truths say nothing.
    """
    n = sum(each.times for each in truths)
    if n < least:
        return FeedbackVerdict(True, f"Of {n:,} answers the truth came, too few to judge the feedback itself.", n)
    table, names = _table(truths)
    agreed, answered, told = int(np.trace(table)), table.sum(axis=1) / n, table.sum(axis=0) / n
    chance, high = float(answered @ told), wilson(agreed, n, name="agreement").high
    assert high is not None
    usual = 1.0 if expected is None or expected.value is None else expected.value
    is_near_chance = agreed / n <= chance + NEAR_CHANCE * (1 - chance)
    if not is_near_chance or high > chance + HALFWAY * (usual - chance):
        sentence = f"Feedback agrees with {as_percent(agreed / n)} % of {n:,} answers: more than by chance."
        return FeedbackVerdict(True, sentence, n, agreed / n, chance)
    exchanged = _exchanged(table, names)
    beginning = (
        f"The feedback, not the model, may be wrong: it agrees with {as_percent(agreed / n)} % of {n:,} answers, "
        f"{as_percent(chance)} % would be by chance"
    )
    sentence = f"{beginning}{_known_good(expected)}{_of_images(changed)}.{_of_names(exchanged)}"
    return FeedbackVerdict(False, sentence, n, agreed / n, chance, exchanged)


def _table(truths: Sequence[CountedTruths]) -> tuple[np.ndarray, list[str]]:
    """Counts by answer (rows) and truth (columns), and the classes in their order."""
    counts: Counter[tuple[str, str]] = Counter()
    for each in truths:
        counts[each.answer, each.truth] += each.times
    names = sorted({name for pair in counts for name in pair})
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    for (answer, truth), times in counts.items():
        table[names.index(answer), names.index(truth)] = times
    return table, names


def _exchanged(table: np.ndarray, names: list[str]) -> dict[str, str] | None:
    rows, columns = linear_sum_assignment(table, maximize=True)
    if table[rows, columns].sum() < MOSTLY * table.sum():
        return None
    return {names[row]: names[column] for row, column in zip(rows, columns, strict=True) if row != column}


def _known_good(expected: Measure | None) -> str:
    return "" if expected is None else f", and on held-out images the model is right in {expected.text()}"


def _of_images(changed: bool | None) -> str:
    if changed is None:
        return "; whether the images have changed is not known"
    return "; the images have changed, too" if changed else "; the images are like those that it knows"


def _of_names(exchanged: Mapping[str, str] | None) -> str:
    if not exchanged:
        return ""
    pairs = [f"“{answer}” is called “{truth}”" for answer, truth in list(exchanged.items())[:4]]
    return f" Names look exchanged: what the model calls {', '.join(pairs)}."
