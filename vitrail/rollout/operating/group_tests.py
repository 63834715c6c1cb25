"""Is a group wrong more often than the others of its attribute? Each group's test has its own part of α."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vitrail.measures.anytime_counts import log_winnings
from vitrail.measures.restarted_tests import restarted_log_capital, shares
from vitrail.monitoring.tally import OTHERS
from vitrail.rollout.operating.live_figures import LiveFigures

MOST_BEGINNINGS = 200
_RIGHT, _WRONG, _OTHERS_RIGHT, _OTHERS_WRONG = range(4)


@dataclass(frozen=True)
class GroupTest:
    """What is known of a group against the others of its attribute.

    Attributes:
        attribute, value: the group.
        margin: by so much more often may it be wrong.
        log_capital: natural logarithm of what was won by betting against that.
        part: of α, which is this test's own.
        tests: how many groups are watched.
        group: right answers and all, since the beginning at which most was won.
        others: likewise.
        since: the window of that beginning.
    """

    attribute: str
    value: str
    margin: float
    log_capital: float
    part: float
    tests: int
    group: tuple[int, int]
    others: tuple[int, int]
    since: int

    @property
    def about(self) -> str:
        """`sex=f`."""
        return f"{self.attribute}={self.value}"


def group_tests(
    live: LiveFigures, attributes: Sequence[str] | None, *, margin: float,
    margins: Mapping[str, tuple[float, int]],
) -> list[GroupTest]:  # fmt: skip
    """A test for every group, in the order in which groups came: the k-th has the part 1/(k(k+1)) of α.

    Counts are taken from windows that are over, because a block's counts must not change any more once it was bet on.

    Args:
        live: the figures.
        attributes: those that are watched; None: all.
        margin: by so much more often may a group be wrong.
        margins: another margin and first window, by group (`sex=f`).
    """
    counted = _counts(live, attributes)
    found = []
    for place, ((attribute, value), own) in enumerate(counted.items(), start=1):
        of_attribute = sum(counts for (name, _), counts in counted.items() if name == attribute)
        both = np.concatenate([own, of_attribute - own], axis=1)
        asked, first = margins.get(f"{attribute}={value}", (margin, 0))
        if value == OTHERS or not both[:, 2:].any() or asked >= 1:
            continue
        found.append(_tested((attribute, value), both, asked, first, place, len(counted)))
    return found


def _counts(live: LiveFigures, attributes: Sequence[str] | None) -> dict[tuple[str, str], Int[np.ndarray, "W 2"]]:
    """By group right and wrong answers in each window that is over; groups in the order in which they came."""
    found: dict[tuple[str, str], Int[np.ndarray, "W 2"]] = {}
    for each in sorted(live.truths):
        if each.window >= live.window:
            continue
        for group in each.attributes:
            if attributes is None or group[0] in attributes:
                counts = found.setdefault(group, np.zeros((live.window, 2), dtype=np.int64))
                counts[each.window, int(each.answer != each.truth)] += each.times
    return dict(sorted(found.items(), key=lambda each: (int(each[1].any(axis=1).argmax()), each[0])))


def _tested(
    group: tuple[str, str], both: Int[np.ndarray, "W 4"], margin: float, first: int, place: int, tests: int
) -> GroupTest:
    blocks, beginnings = _blocks(both, first)
    part = float(shares(np.array([float(place)]))[0])
    if not len(blocks):
        return GroupTest(*group, margin, 0.0, part, tests, (0, 0), (0, 0), first)
    oldest = max(0, len(blocks) - MOST_BEGINNINGS)
    won = np.cumsum(log_winnings(blocks, margin, "above")[::-1], axis=0)[::-1][oldest:]
    capitals = np.logaddexp.reduce(won, axis=1) - np.log(won.shape[1])
    numbers = np.arange(oldest + 1.0, oldest + 1 + len(capitals))
    best = oldest + int(np.argmax(capitals + np.log(shares(numbers))))
    sums = both[beginnings[best] :].sum(axis=0)
    return GroupTest(
        *group, margin, restarted_log_capital(capitals, first=oldest + 1), part, tests,
        (int(sums[_RIGHT]), int(sums[_RIGHT] + sums[_WRONG])),
        (int(sums[_OTHERS_RIGHT]), int(sums[_OTHERS_RIGHT] + sums[_OTHERS_WRONG])), beginnings[best],
    )  # fmt: skip


def _blocks(both: Int[np.ndarray, "W 4"], first: int) -> tuple[Float[np.ndarray, "B 4"], list[int]]:
    """Requests and failures of group and others in blocks in which both came, and the window each begins in."""
    blocks, beginnings, pending, begun = [], [], np.zeros(4, dtype=np.int64), first
    for window in range(first, len(both)):
        pending = pending + both[window]
        if pending[:2].sum() and pending[2:].sum():
            group, others = pending[:2], pending[2:]
            blocks.append([group.sum(), group[1], others.sum(), others[1]])
            beginnings.append(begun)
            pending, begun = np.zeros(4, dtype=np.int64), window + 1
    return np.array(blocks, dtype=np.float64).reshape(-1, 4), beginnings
