"""Drawing a split: proportions that hold in every class as near as groups allow, the same for the same images and seed.

What belongs together (a group, or copies of one file) is a unit and goes to one side as a whole. Units of several
images are placed largest first, each where it brings the classes' shares nearest to what is wanted, then single images
fill up what is missing, in an order drawn from their ids and the seed alone.

Source: largest-first placement is the usual heuristic for number partitioning (R. L. Graham, "Bounds on
multiprocessing timing anomalies", 1969), with scikit-learn's `StratifiedGroupKFold` as the nearest relative.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from vitrail.basics.seeds import uniform_from

SIDES = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)

_MOST_MOVES = 200_000
"""Looks at a unit of several images after the first placement: beyond so many, the first placement stays."""

_MOST_SWAPPED = 100
"""With at most so many units of several images, pairs of them are tried, too."""


@dataclass
class _Draw:
    """Units, and where they are.

    Attributes:
        names: of the units.
        classes: class numbers of each unit.
        counts: its images of each of these classes.
        sizes: its images.
        drawn: its number from the seed, which orders equals.
        side: 0-2, -1 where not placed yet.
        free: whether it may be moved.
        missing: (3, K) images that a side still lacks of a class; negative where it has too many.
        weights: (K,) by which squares of what is missing are added up: the larger a class, the less one image counts.
        units: (3, K) units of a class on a side.
        members: for every class, its units.
    """

    names: list[str]
    classes: list[Int[np.ndarray, "_"]]
    counts: list[Int[np.ndarray, "_"]]
    sizes: Int[np.ndarray, " U"]
    drawn: Float[np.ndarray, " U"]
    side: Int[np.ndarray, " U"]
    free: np.ndarray
    missing: Float[np.ndarray, "3 K"]
    weights: Float[np.ndarray, "K"]
    units: Int[np.ndarray, "3 K"]
    members: list[Int[np.ndarray, "_"]]

    def cost(self, unit: int, side: int) -> float:
        """By how much the squares of what is missing grow when a unit that is nowhere comes to a side."""
        classes, counts = self.classes[unit], self.counts[unit]
        return float((counts * (counts - 2 * self.missing[side, classes]) * self.weights[classes]).sum())

    def place(self, unit: int, side: int) -> None:
        """Put a unit on a side; -1 takes it away."""
        for sign, where in ((-1, int(self.side[unit])), (1, side)):
            if where >= 0:
                self.missing[where, self.classes[unit]] -= sign * self.counts[unit]
                self.units[where, self.classes[unit]] += sign
        self.side[unit] = side


def drawn_sides(
    units: Sequence[str],
    labels: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int,
    fixed: Mapping[str, str],
) -> dict[str, str]:
    """The side of every unit.

    A class of one unit is trained on; one of two or more is in `train` and `val`, one of three or more in `test`, too,
    if there is one. A single image more or less than the share of a class is all that single images ever miss it by.

    Args:
        units: of every image: what must stay together has the same name.
        labels: class of every image.
        validation: share of every class that is wanted in `val`.
        test: the same for `test`; 0: there is none.
        seed: another seed gives another split.
        fixed: units that have a side already; they count, and stay.
    """
    if not units:
        return {}
    draw = _begun(units, labels, (validation, test), seed, fixed)
    sides = [TRAIN, VAL] + ([TEST] if test else [])
    several = np.flatnonzero(draw.free & (draw.sizes > 1))
    order = several[np.lexsort((draw.drawn[several], -draw.sizes[several]))].tolist()
    for unit in order:
        draw.place(unit, min(sides, key=lambda side: draw.cost(unit, side)))
    _improve(draw, order, sides)
    _place_single_images(draw, sides)
    _reach_every_side(draw, sides)
    return {name: SIDES[side] for name, side in zip(draw.names, draw.side.tolist(), strict=True)}


def _begun(
    units: Sequence[str], labels: Sequence[str], shares: tuple[float, float], seed: int, fixed: Mapping[str, str]
) -> _Draw:
    of_unit = pa.array(units, pa.string()).dictionary_encode()
    of_label = pa.array(labels, pa.string()).dictionary_encode()
    names, total = of_unit.dictionary.to_pylist(), len(of_label.dictionary)
    rows, kinds = of_unit.indices.to_numpy().astype(np.int64), of_label.indices.to_numpy().astype(np.int64)
    pairs, counts = np.unique(rows * total + kinds, return_counts=True)
    starts = np.searchsorted(pairs // total, np.arange(1, len(names)))
    units_of_class = np.bincount(pairs % total, minlength=total)
    wanted = _wanted(np.bincount(kinds, minlength=total), units_of_class, shares)
    draw = _Draw(
        names=names,
        classes=np.split(pairs % total, starts),
        counts=np.split(counts, starts),
        sizes=np.bincount(rows, minlength=len(names)),
        drawn=np.array([uniform_from(seed, "split", name) for name in names]),
        side=np.full(len(names), -1),
        free=np.array([name not in fixed for name in names]),
        missing=wanted.astype(np.float64),
        weights=1 / np.bincount(kinds, minlength=total),
        units=np.zeros((len(SIDES), total), dtype=np.int64),
        members=np.split((pairs // total)[np.argsort(pairs % total, kind="stable")], np.cumsum(units_of_class)[:-1]),
    )
    for unit in np.flatnonzero(~draw.free).tolist():
        draw.place(unit, SIDES.index(fixed[names[unit]]))
    return draw


def _wanted(
    images: Int[np.ndarray, "K"], units: Int[np.ndarray, "K"], shares: tuple[float, float]
) -> Int[np.ndarray, "3 K"]:
    """Images of every class on every side: the share rounded, at least one where there are units enough."""
    validation = np.maximum(np.floor(images * shares[0] + 0.5), units >= 2)
    test = np.maximum(np.floor(images * shares[1] + 0.5), (units >= 3) & (shares[1] > 0))
    validation = np.where(units < 2, 0, np.minimum(validation, images - 1))
    test = np.where(units < 3, 0, np.minimum(test, np.maximum(images - 1 - validation, 0)))
    return np.stack([images - validation - test, validation, test]).astype(np.int64)


def _improve(draw: _Draw, several: list[int], sides: list[int]) -> None:
    """Move units, and swap pairs of them, as long as that brings the shares nearer; equals stay where they are."""
    looks = 0
    moved = True
    while moved and looks < _MOST_MOVES:
        moved = False
        for unit in several:
            looks += 1
            moved |= _moved(draw, unit, sides)
        if not moved and len(several) <= _MOST_SWAPPED:
            for one, other in itertools.combinations(several, 2):
                looks += 1
                moved |= draw.side[one] != draw.side[other] and _swapped(draw, one, other)


def _moved(draw: _Draw, unit: int, sides: list[int]) -> bool:
    was = int(draw.side[unit])
    draw.place(unit, -1)
    costs = {side: draw.cost(unit, side) for side in sides}
    best = min(sides, key=costs.__getitem__)
    better = costs[best] < costs[was] - 1e-9
    draw.place(unit, best if better else was)
    return better


def _swapped(draw: _Draw, one: int, other: int) -> bool:
    here, there = int(draw.side[one]), int(draw.side[other])
    before = _squares(draw, one, other, (here, there))
    draw.place(one, there)
    draw.place(other, here)
    if _squares(draw, one, other, (here, there)) < before - 1e-9:
        return True
    draw.place(one, here)
    draw.place(other, there)
    return False


def _squares(draw: _Draw, one: int, other: int, sides: tuple[int, int]) -> float:
    classes = np.union1d(draw.classes[one], draw.classes[other])
    return float((draw.missing[list(sides)][:, classes] ** 2 * draw.weights[classes]).sum())


def _place_single_images(draw: _Draw, sides: list[int]) -> None:
    """Within a class, the first ones in drawn order fill the test side, the next ones validation; the rest is trained
    on. So few images change sides when some are added."""
    single = np.flatnonzero(draw.free & (draw.sizes == 1))
    kinds = np.array([draw.classes[unit][0] for unit in single], dtype=np.int64)
    order = np.lexsort((draw.drawn[single], kinds))
    single, kinds = single[order], kinds[order]
    bounds = np.searchsorted(kinds, np.arange(draw.missing.shape[1] + 1))
    for kind in np.unique(kinds):
        members = single[bounds[kind] : bounds[kind + 1]]
        start = 0
        for side in (side for side in (TEST, VAL, TRAIN) if side in sides):
            left = len(members) - start
            count = left if side == TRAIN else min(left, max(0, round(draw.missing[side, kind])))
            draw.side[members[start : start + count]] = side
            draw.missing[side, kind] -= count
            draw.units[side, kind] += count
            start += count


def _reach_every_side(draw: _Draw, sides: list[int]) -> None:
    """Every class is trained on, and judged where it has units enough; groups may have left some out."""
    total = draw.units.sum(axis=0)
    for least, side in ((1, TRAIN), (2, VAL), (3, TEST)):
        if side not in sides:
            continue
        for kind in np.flatnonzero((draw.units[side] == 0) & (total >= least)).tolist():
            candidates = [
                unit
                for unit in draw.members[kind].tolist()
                if draw.free[unit] and (side == TRAIN or _may_leave(draw, unit))
            ]
            if candidates:
                draw.place(min(candidates, key=lambda unit: (draw.sizes[unit], draw.drawn[unit])), side)


def _may_leave(draw: _Draw, unit: int) -> bool:
    """Whether every class of a unit stays where the unit is, and is not taken out of training, when it goes."""
    return bool((draw.units[draw.side[unit], draw.classes[unit]] > 1).all())
