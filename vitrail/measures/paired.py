"""Is one model better than another? Their losses on the same images, compared image by image."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from vitrail.basics.errors import InputError
from vitrail.measures.intervals import Measure, affordable_resamples, bootstrapped, cluster_bootstrap

Decision = Literal["better", "worse", "not enough evidence"]

FLIPS = 9999
"""Random sign patterns of a test; where there are no more patterns than these, all of them are tried instead."""

AT_ONCE = 4_000_000
"""Signs held in memory at a time (32 MB)."""


@dataclass(frozen=True)
class PairedComparison:
    """Whether one model's loss is lower than another's on the same images.

    `difference` is the mean loss of the model before minus that of the model after, in nats per image: positive
    when the model after is better. `p_value` is two-sided. `groups` is the number of groups whose signs were flipped
    together, None when images count as independent.
    """

    decision: Decision
    p_value: float
    difference: Measure
    method: str
    n: int
    groups: int | None

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def compare_losses(
    before: Float[np.ndarray, "N"],
    after: Float[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
    alpha: float = 0.05,
) -> PairedComparison:
    """Whether the model with the losses `after` is better than the one with the losses `before`.

    The test flips the sign of each image's difference (with `groups`: of each group's summed differences), as it
    could have come out if the models were alike; the interval is a paired bootstrap over images or groups.

    Args:
        before: the first model's loss on each image by a proper score, for instance log loss in nats.
        after: the second model's loss on the same images in the same order.
        groups: the patient (or whatever images share) of every image, numbered from 0 without gaps.
        seed: the same seed gives the same numbers.
        alpha: below this p-value there is a decision.

    Raises:
        InputError: a loss is NaN or infinite.

    Source: R. A. Fisher (1935), The Design of Experiments, section 21, for the test.

    >>> compare_losses(np.array([0.9, 0.8, 0.7]), np.array([0.5, 0.5, 0.5])).p_value  # 2 of 8 sign patterns
    0.25
    """
    clusters = np.arange(len(before)) if groups is None else groups
    sums = _summed_differences(before, after, clusters)
    p_value = sign_flip_p_value(sums, seed=seed)
    return PairedComparison(
        decision=decide(p_value, float(sums.sum()), alpha=alpha),
        p_value=p_value,
        difference=_mean_difference((before - after).astype(np.float64), clusters=clusters, seed=seed),
        method=_method(sums, grouped=groups is not None),
        n=len(before),
        groups=None if groups is None else len(np.unique(groups)),
    )


def decision_between(
    before: Float[np.ndarray, "N"],
    after: Float[np.ndarray, "N"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Decision:
    """What `compare_losses` decides, without the interval, which takes most of its time.

    Raises:
        InputError: a loss is NaN or infinite.
    """
    sums = _summed_differences(before, after, np.arange(len(before)) if groups is None else groups)
    return decide(sign_flip_p_value(sums, seed=seed), float(sums.sum()))


def _summed_differences(
    before: Float[np.ndarray, "N"], after: Float[np.ndarray, "N"], clusters: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "G"]:
    _check_finite(before, after)
    return np.bincount(clusters, weights=before - after).astype(np.float64)


def decide(p_value: float, difference: float | int, *, alpha: float = 0.05) -> Decision:
    """The words for a test's outcome; a positive `difference` speaks for the model that is judged.

    >>> decide(0.01, -0.2), decide(0.2, -0.2)
    ('worse', 'not enough evidence')
    """
    if p_value >= alpha:
        return "not enough evidence"
    return "better" if difference > 0 else "worse"


def sign_flip_p_value(differences: Float[np.ndarray, "G"], *, seed: int, flips: int = FLIPS) -> float:
    """Two-sided p-value of the sum of `differences`, had each of them been as likely to have the other sign.

    Exact, by trying all sign patterns, where there are at most `flips`; otherwise p = (b + 1) / (m + 1) from `flips`
    random ones. Differences of 0 say nothing; when all are 0, p = 1.

    Source: B. Phipson and G. K. Smyth (2010), Permutation p-values should never be zero, SAGMB 9, article 39.

    >>> sign_flip_p_value(np.array([1.0, 2.0, 3.0, 0.0]), seed=0)
    0.25
    """
    differences = differences[differences != 0]
    # A hair of slack: sums of the same numbers in another order must count as equal.
    limit = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    count = len(differences)
    if _is_exact(count, flips=flips):
        patterns = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return float((np.abs((2.0 * patterns - 1) @ differences) >= limit).mean())
    random = np.random.default_rng(seed)
    as_extreme, rows = 0, AT_ONCE // count + 1
    for start in range(0, flips, rows):
        flipped = random.integers(0, 2, (min(rows, flips - start), count), dtype=np.int8)
        as_extreme += int((np.abs((2.0 * flipped - 1) @ differences) >= limit).sum())
    return (as_extreme + 1) / (flips + 1)


def _is_exact(count: int, *, flips: int = FLIPS) -> bool:
    return 2**count <= flips


def _method(sums: Float[np.ndarray, "G"], *, grouped: bool) -> str:
    kind = "exact sign-flip test" if _is_exact(int(np.count_nonzero(sums))) else "sign-flip test"
    return f"{kind} over {'groups' if grouped else 'images'}"


def _mean_difference(differences: Float[np.ndarray, "N"], *, clusters: Int[np.ndarray, "N"], seed: int) -> Measure:
    n = len(differences)
    measure = Measure("loss difference", None, n, scale="number")
    if not n:
        return replace(measure, undefined_because="there are no images to measure it on")
    measure = replace(measure, value=float(differences.mean()))
    if not differences.any():
        return replace(measure, undefined_because="both models have the same loss on every image")
    replicates = cluster_bootstrap(
        lambda weights: weights @ differences / weights.sum(1),
        clusters,
        seed=seed,
        resamples=affordable_resamples(n),
    )
    return bootstrapped(measure, replicates, clusters=clusters)


def _check_finite(before: Float[np.ndarray, "N"], after: Float[np.ndarray, "N"]) -> None:
    for name, losses in (("before", before), ("after", after)):
        wrong = np.flatnonzero(~np.isfinite(losses))
        if len(wrong):
            raise InputError(
                f"the loss {name} of image number {wrong[0] + 1} is {losses[wrong[0]]}, expected a finite number",
                hint="a probability of exactly 0 has an infinite log loss: keep probabilities above 0",
            )
