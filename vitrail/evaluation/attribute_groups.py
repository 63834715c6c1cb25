"""Groups of images by an attribute: words as they are, numbers in ranges that people use, what is missing beside."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.natural_order import natural_places
from vitrail.data.columns import FIXED
from vitrail.data.inspection.examine import FileFacts
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.subject import NotJudged

MISSING = "missing"
"""The group of images whose attribute is empty."""

MOST_GROUPS = 50
"""Different words of an attribute from which it is no longer one but an identifier."""

_MOST_NUMBERS, _MOST_RANGES = 10, 5  # different numbers that stay as they are; ranges otherwise
_MISSING_FROM = 0.1  # the share of images from which those without a value are compared as a group
_USUAL_MOST = 20  # different values of an attribute that a fit's report looks at by itself


@dataclasses.dataclass(frozen=True)
class AttributeGroups:
    """The groups of an attribute.

    Attributes:
        name: of the attribute, or of several that are crossed: `sex × age`.
        names: of the groups (G), in the order in which people count; `missing` is the last.
        numbers: by image, an index into the names.
        compared: whether a group is compared with others, if it is large enough.
        told: sentences on how values became groups.
    """

    name: str
    names: tuple[str, ...]
    numbers: Int[np.ndarray, "N"]
    compared: Bool[np.ndarray, "G"]
    told: tuple[str, ...] = ()


def own_attributes(judged: JudgedImages) -> list[str]:
    """Columns of the table that its owner wrote beside the image and its class."""
    ours = {*FIXED, "id", "stamp", *(each.name for each in dataclasses.fields(FileFacts))}
    return [name for name in judged.rows.column_names if name not in ours]


def usual_attributes(judged: JudgedImages) -> list[str]:
    """Those among them that divide images into 2 to 20 groups and say more than the class does."""
    return [name for name in own_attributes(judged) if _divides(judged.rows[name], judged.labels)]


def _divides(column: pa.ChunkedArray, labels: Int[np.ndarray, "N"]) -> bool:
    known = pc.drop_null(column)
    if not len(known) or not 2 <= pc.count_distinct(known).as_py() <= _USUAL_MOST:
        return False
    codes = _codes(column)[0]
    pairs = {(value, label) for value, label in zip(codes.tolist(), labels.tolist(), strict=True) if value >= 0}
    return len(pairs) > len({label for _, label in pairs})


def attribute_groups(judged: JudgedImages, name: str, *, least_group: int) -> AttributeGroups:
    """The groups of an attribute; `sex*age` crosses two.

    Args:
        judged: the images.
        name: a column of their table, or several with `*` between them.
        least_group: ranges of numbers with fewer images are joined with their neighbours.

    Raises:
        InputError: there is no such column.
        NotJudged: the column is empty, has the same value for all, or so many that they are no groups.
    """
    if name not in judged.rows.column_names and "*" in name:
        parts = [attribute_groups(judged, part.strip(), least_group=least_group) for part in name.split("*")]
        return functools.reduce(crossed, parts)
    return _with_missing(name, *_valued(_column(judged, name), name, least_group), least_group)


def _column(judged: JudgedImages, name: str) -> pa.ChunkedArray:
    if name not in judged.rows.column_names:
        there = own_attributes(judged)
        hint = did_you_mean(name, there) or (f"it has {', '.join(there)}" if there else "the table has no attribute")
        raise InputError(f"the image table has no attribute {name!r}", hint=hint)
    return judged.rows[name]


def _valued(
    column: pa.ChunkedArray, name: str, least_group: int
) -> tuple[list[str], Int[np.ndarray, "N"], tuple[str, ...]]:
    """Names of groups, the number of each image's (-1: no value), and sentences."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        if len(np.unique(values[np.isfinite(values)])) > _MOST_NUMBERS:
            return _ranges(values, name, least_group)
    numbers, names = _codes(column)
    if len(names) > MOST_GROUPS:
        raise NotJudged(f"{name} has {len(names):,} different values: too many for groups, more like an identifier")
    places = natural_places(names)
    rank = np.empty(len(names) + 1, dtype=np.int64)
    rank[places], rank[-1] = np.arange(len(names)), -1
    return [names[place] for place in places], rank[numbers], ()


def _codes(column: pa.ChunkedArray) -> tuple[Int[np.ndarray, "N"], list[str]]:
    """By image the number of its value, -1 where it is empty; and the values as words."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [_word(value) for value in encoded.dictionary.to_pylist()]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _ranges(
    values: Float[np.ndarray, "N"], name: str, least_group: int
) -> tuple[list[str], Int[np.ndarray, "N"], tuple[str, ...]]:
    known = values[np.isfinite(values)]
    edges = _without_small(known, _round_edges(known), least_group)
    if len(np.bincount(np.searchsorted(edges, known, side="right"))) == 1 or _one_has_most(known, edges):
        quarters = np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf")  # numbers that are there: no overflow
        edges = _without_small(known, np.unique(quarters), least_group)
    numbers = np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)
    whole = bool((known == np.round(known)).all())
    names = _range_names(edges, whole) if len(edges) else [f"{known.min():g} to {known.max():g}"]
    different = len(np.unique(known))
    return names, numbers, (f"{name} has {different:,} different numbers; they were put into {len(names)} ranges.",)


def _one_has_most(known: Float[np.ndarray, " n"], edges: Float[np.ndarray, " e"]) -> bool:
    return bool(np.bincount(np.searchsorted(edges, known, side="right")).max() > 0.8 * len(known))


def _round_edges(known: Float[np.ndarray, " n"]) -> Float[np.ndarray, " e"]:
    """Multiples of 1, 2 or 5 times a power of ten, as close as leaves a few ranges for nearly all of the numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = np.quantile(known, [0.01, 0.99])
        span = float(high - low)
    if not 1e-290 < span < np.inf:  # all but a few are the same, or numbers that no division bears
        return np.zeros(0)
    power = math.floor(math.log10(span))
    for step in (times * 10.0**each for each in range(power - 1, power + 2) for times in (1, 2, 5)):
        first, last = np.floor(low / step), np.floor(high / step)
        if last - first < _MOST_RANGES:
            return np.arange(first + 1, last + 1) * step
    return np.zeros(0)


def _without_small(
    known: Float[np.ndarray, " n"], edges: Float[np.ndarray, " e"], least: int
) -> Float[np.ndarray, " f"]:
    """Without edges beside ranges that have too few of the numbers: such a range joins its smaller neighbour."""
    while len(edges):
        sizes = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
        small = int(sizes.argmin())
        if sizes[small] >= least:
            break
        left = sizes[small - 1] if small else np.inf
        right = sizes[small + 1] if small < len(edges) else np.inf
        edges = np.delete(edges, small - 1 if left <= right else small)
    return edges


def _range_names(edges: Float[np.ndarray, " e"], whole: bool) -> list[str]:
    between = [
        f"{low:g}–{high - 1:g}" if whole else f"{low:g} to under {high:g}" for low, high in itertools.pairwise(edges)
    ]
    return [f"under {edges[0]:g}", *between, f"{edges[-1]:g} and more"]


def _with_missing(
    name: str, names: Sequence[str], numbers: Int[np.ndarray, "N"], told: tuple[str, ...], least_group: int
) -> AttributeGroups:
    absent = numbers < 0
    missing = int(absent.sum())
    if missing == len(numbers):
        raise NotJudged(f"{name} is empty for all images")
    if len(names) == 1 and not missing and told:
        raise NotJudged(
            f"{name} has numbers that {len(numbers):,} images cannot be divided by into groups of {least_group} or more"
        )
    if len(names) == 1 and not missing:
        raise NotJudged(f"{name} is {names[0]!r} for all images: there is nothing to compare")
    compared = np.ones(len(names), dtype=bool)
    if not missing:
        return AttributeGroups(name, tuple(names), numbers, compared, told)
    word = MISSING if MISSING not in names else "no value"
    large = missing >= max(least_group, _MISSING_FROM * len(numbers))
    how = "they are compared as a group of their own" if large else "they are shown and not compared"
    told = (*told, f"{missing:,} of {len(numbers):,} images have no {name}: {how}.")
    return AttributeGroups(
        name, (*names, word), np.where(absent, len(names), numbers), np.append(compared, large), told
    )


def crossed(one: AttributeGroups, other: AttributeGroups) -> AttributeGroups:
    """Groups of both attributes at once, those that occur."""
    pairs, numbers = np.unique(one.numbers * len(other.names) + other.numbers, return_inverse=True)
    first, second = np.divmod(pairs, len(other.names))
    return AttributeGroups(
        f"{one.name} × {other.name}",
        tuple(f"{one.names[i]}, {other.names[j]}" for i, j in zip(first, second, strict=True)),
        numbers.astype(np.int64),
        one.compared[first] & other.compared[second],
        tuple(dict.fromkeys((*one.told, *other.told))),
    )
