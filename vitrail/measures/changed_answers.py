"""What became of the answers to the same images: how many were mended, how many broken, and whether that is chance."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import bdtr

from vitrail.measures.intervals import (
    NO_SPREAD,
    Measure,
    affordable_resamples,
    bootstrapped,
    cluster_bootstrap,
    wilson_limits,
)
from vitrail.measures.paired import Decision, decide, sign_flip_p_value


@dataclass(frozen=True)
class ChangedAnswers:
    """Right and wrong answers before and after something was changed.

    `mended` were wrong before and are right after, `broken` the other way round; of all others nothing can be learnt.
    `difference` is the accuracy after minus that before. `p_value` is two-sided.
    """

    decision: Decision
    p_value: float
    method: str
    mended: int
    broken: int
    n: int
    difference: Measure

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def changed_answers(
    before: Bool[np.ndarray, "N"],
    after: Bool[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
    alpha: float = 0.05,
) -> ChangedAnswers:
    """Whether answers are right more or less often than before, compared image by image.

    Args:
        before: whether each image was answered rightly.
        after: the same of the same images, in the same order.
        groups: the patient (or whatever images share) of every image, numbered from 0 without gaps; then whole groups'
            differences are flipped at random.
        seed: of the test with groups and of the interval.
        alpha: below this p-value there is a decision.

    Source: exact McNemar test, Q. McNemar (1947), Psychometrika 12, p. 153.

    >>> found = changed_answers(np.arange(40) >= 25, np.arange(40) < 37)
    >>> found.mended, found.broken, found.decision
    (25, 3, 'better')
    """
    mended, broken = int((after & ~before).sum()), int((before & ~after).sum())
    if groups is None:
        p_value, method = mcnemar_p_value(mended, broken), "exact McNemar test"
    else:
        p_value = sign_flip_p_value(np.bincount(groups, weights=after.astype(int) - before), seed=seed)
        method = "sign-flip test over groups"
    decision = decide(p_value, mended - broken, alpha=alpha)
    change = accuracy_change(before, after, groups=groups, seed=seed)
    return ChangedAnswers(decision, p_value, method, mended, broken, len(before), change)


def mcnemar_p_value(one: int, other: int) -> float:
    """Two-sided, exact: how likely is it that of so many changes so few (or fewer) go one way, if both are as likely?

    >>> round(mcnemar_p_value(25, 12), 4)
    0.047
    """
    # With p = 1/2 both tails are equal, so twice the smaller one is the two-sided exact test.
    return min(1.0, 2 * float(bdtr(min(one, other), one + other, 0.5))) if one + other else 1.0


def accuracy_change(
    before: Bool[np.ndarray, "N"],
    after: Bool[np.ndarray, "N"],
    *,
    name: str = "change of accuracy",
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Measure:
    """The accuracy after minus that before, on the same images: from -1 to 1, with a paired bootstrap interval.

    Where all images (or groups) tell the same, the bootstrap would claim certainty, and T. Tango's score interval
    stands (1998, Statistics in Medicine 17, p. 891).

    >>> accuracy_change(np.array([True] * 10), np.array([False] * 5 + [True] * 5)).value
    -0.5
    """
    n = len(before)
    if not n:
        return Measure(name, None, 0, scale="number", undefined_because="there are no images to measure it on")
    differences: Float[np.ndarray, N] = after.astype(np.float64) - before
    measure = Measure(name, float(differences.mean()), n, scale="number")
    clusters = np.arange(n) if groups is None else groups
    count = len(np.unique(clusters))
    replicates = cluster_bootstrap(
        lambda weights: weights @ differences / weights.sum(1), clusters, seed=seed, resamples=affordable_resamples(n)
    )
    if count < 2 or np.ptp(replicates) > NO_SPREAD:
        return bootstrapped(measure, replicates, clusters=clusters)
    reach, middle = wilson_limits(0.0, count)[1], float(differences.mean())
    kind = "groups" if count < n else "images"
    low, high = max(-1.0, middle - reach), min(1.0, middle + reach)
    return replace(measure, low=low, high=high, method=f"Tango on {count} {kind}")
