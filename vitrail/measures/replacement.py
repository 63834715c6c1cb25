"""May one model replace another? The same images, answered by both, compared image by image."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int
from scipy.special import bdtr, chdtrc

from vitrail.measures.intervals import Measure, wilson_limits
from vitrail.measures.means import mean, share
from vitrail.measures.paired import sign_flip_p_value

MARGIN = 0.02
"""How much accuracy a successor may lose: two points."""

Replacement = Literal["may replace", "may not replace", "not enough evidence"]


@dataclass(frozen=True)
class McNemar:
    """How many answers a second model mends and breaks, and whether that is chance.

    Attributes:
        fixed: images that only the second model gets right.
        broken: images that only the first one gets right.
        exact_p_value: two-sided, from the binomial distribution.
        chi_square: (|fixed - broken| - 1)² / (fixed + broken), with continuity correction.
        corrected_p_value: of that.
    """

    fixed: int
    broken: int
    exact_p_value: float
    chi_square: float
    corrected_p_value: float

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def mcnemar(fixed: int, broken: int) -> McNemar:
    """The test of both counts, for independent images.

    Source: Q. McNemar (1947), Psychometrika 12, p. 153; the correction is A. L. Edwards's (1948), Psychometrika 13,
    p. 185.

    >>> round(mcnemar(25, 12).chi_square, 4)
    3.8919
    """
    n = fixed + broken
    if not n:
        return McNemar(0, 0, 1.0, 0.0, 1.0)
    exact = min(1.0, 2 * float(bdtr(min(fixed, broken), n, 0.5)))
    chi_square = max(abs(fixed - broken) - 1, 0) ** 2 / n
    return McNemar(fixed, broken, exact, chi_square, float(chdtrc(1, chi_square)))


@dataclass(frozen=True)
class Changes:
    """What changes where a second model takes the place of a first one.

    Attributes:
        difference: accuracy of the second minus that of the first.
        fixed: share of images that only the second gets right.
        broken: share that only the first gets right: negative flips.
        mcnemar: of both counts; for independent images.
        p_value: that accuracy differs: McNemar's exact test, or with groups one that flips whole groups' signs.
        method: of that.
    """

    difference: Measure
    fixed: Measure
    broken: Measure
    mcnemar: McNemar
    p_value: float
    method: str

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def changes(
    before: Bool[np.ndarray, "N"],
    after: Bool[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Changes:
    """What a second model changes about the answers of a first one.

    Args:
        before: whether the first model is right about each image.
        after: whether the second one is.
        groups: the patient of each image; None: images are independent.
        seed: of the test over groups.

    Source: for the difference R. G. Newcombe (1998), Improved confidence intervals for the difference between binomial
    proportions based on paired data, Statistics in Medicine 17, p. 2635, method 10; with groups Student's t from how
    whole groups differ.
    """
    fixed, broken = int((after & ~before).sum()), int((before & ~after).sum())
    test = mcnemar(fixed, broken)
    gained = after.astype(np.float64) - before
    if groups is None:
        difference, p_value, method = paired_difference(before, after), test.exact_p_value, "exact McNemar test"
    else:
        difference = _within(mean(gained, name="accuracy difference", groups=groups))
        p_value = sign_flip_p_value(np.bincount(groups, weights=gained), seed=seed)
        method = "sign-flip test over groups"
    return Changes(
        difference,
        share(after & ~before, name="answers that turn right", groups=groups),
        share(before & ~after, name="answers that turn wrong", groups=groups),
        test,
        p_value,
        method,
    )


def paired_difference(before: Bool[np.ndarray, "N"], after: Bool[np.ndarray, "N"], *, level: float = 0.95) -> Measure:
    """The accuracy of `after` minus that of `before`, of independent images that both answered.

    Source: R. G. Newcombe (1998), Statistics in Medicine 17, p. 2635, method 10. Its published example:

    >>> counts = [36, 12, 2, 0]
    >>> found = paired_difference(np.repeat([True, True, False, False], counts), np.repeat([True, False] * 2, counts))
    >>> round(-found.high, 4), round(-found.low, 4)
    (0.0569, 0.3404)
    """
    n = len(before)
    name = "accuracy difference"
    if not n:
        return Measure(name, None, 0, undefined_because="there are no images to measure it on", scale="number")
    both, second, first = int((before & after).sum()), int((after & ~before).sum()), int((before & ~after).sum())
    neither = n - both - second - first
    p_after, p_before = (both + second) / n, (both + first) / n
    value = (second - first) / n
    (low_a, high_a), (low_b, high_b) = (wilson_limits(p, n, level=level) for p in (p_after, p_before))
    phi = _correlation(both, second, first, neither)
    below = (p_after - low_a) ** 2 - 2 * phi * (p_after - low_a) * (high_b - p_before) + (high_b - p_before) ** 2
    above = (p_before - low_b) ** 2 - 2 * phi * (p_before - low_b) * (high_a - p_after) + (high_a - p_after) ** 2
    low, high = value - math.sqrt(max(below, 0.0)), value + math.sqrt(max(above, 0.0))
    return Measure(name, value, n, max(-1.0, low), min(1.0, high), level, "Newcombe, paired", scale="number")


def _correlation(both: int, second: int, first: int, neither: int) -> float:
    """Of being right, corrected as Newcombe's method 10 has it."""
    product = (both + second) * (first + neither) * (both + first) * (second + neither)
    if not product:
        return 0.0
    n, excess = both + second + first + neither, both * neither - second * first
    return (max(excess - n / 2, 0.0) if excess > 0 else excess) / math.sqrt(product)


def _within(measure: Measure) -> Measure:
    if measure.low is None or measure.high is None:
        return measure
    return Measure(
        measure.name, measure.value, measure.n, max(-1.0, measure.low), min(1.0, measure.high), measure.level,
        measure.method, scale="number",
    )  # fmt: skip


def replacement(difference: Measure, *, margin: float = MARGIN) -> Replacement:
    """Whether the second model may replace the first: is what it loses surely less, or surely more, than the margin?

    The test of non-inferiority: the interval's lower limit against -margin, 2.5 % one-sided.

    >>> replacement(Measure("x", 0.01, 900, -0.01, 0.03)), replacement(Measure("x", 0.0, 90, -0.05, 0.05))
    ('may replace', 'not enough evidence')
    """
    if difference.low is None or difference.high is None:
        return "not enough evidence"
    if difference.low > -margin:
        return "may replace"
    return "may not replace" if difference.high < -margin else "not enough evidence"
