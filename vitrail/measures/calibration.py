"""Whether stated probabilities can be believed: log loss, Brier score and calibration error of the top class."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.special import log_softmax

from vitrail.measures.intervals import Measure, affordable_resamples, bootstrapped, cluster_bootstrap

CalibrationVerdict = Literal["over-confident", "under-confident", "not enough evidence"]


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy lie apart.

    `error` is the expected calibration error; `limit_if_calibrated` is what 95 % of perfectly calibrated models
    with these confidences, on this many independent images, stay below. A verdict other than "not enough evidence"
    needs an error above it; where images share groups, an interval that begins above 0.
    """

    error: Measure
    mean_confidence: float | None
    limit_if_calibrated: float | None
    verdict: CalibrationVerdict

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


MOST_SOFTENED = 20.0
"""The largest temperature that is tried."""


def log_losses(logits: Float[np.ndarray, "*M N K"], labels: Int[np.ndarray, "N"]) -> Float[np.ndarray, "*M N"]:
    """Negative log probability of the true class of each image, in nats, of one model or of several."""
    return -log_softmax(logits.astype(np.float64), axis=-1)[..., np.arange(len(labels)), labels]


def fitted_temperature(logits: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]) -> tuple[float, float]:
    """The number, 1 or more, by which logits must be divided for the lowest mean log loss on these images.

    Below 1 it is not sought: networks that were trained on are too sure of themselves, and a few images that happen to
    be all right must not make them surer.

    Returns:
        The temperature, and the mean log loss with it in nats.

    Source: C. Guo et al. (2017), On Calibration of Modern Neural Networks, arXiv:1706.04599, section 4.2.

    >>> sure = np.array([[4.0, 0.0]] * 4)  # 98 % sure, right in 3 of 4
    >>> round(4.0 / fitted_temperature(sure, np.array([0, 0, 0, 1]))[0], 3)  # ln(3): 75 % sure
    1.099
    """
    largest = logits.max(axis=1, keepdims=True).astype(np.float64)
    below = logits - largest
    missed = float((largest[:, 0] - logits[np.arange(len(labels)), labels]).mean())

    if _slope(1.0, below, missed) <= 0:
        sharpness = 1.0
    elif _slope(1 / MOST_SOFTENED, below, missed) >= 0:
        sharpness = 1 / MOST_SOFTENED
    else:
        sharpness = brentq(_slope, 1 / MOST_SOFTENED, 1.0, args=(below, missed), xtol=1e-9)
    loss = float(np.log(np.exp(below * sharpness).sum(axis=1)).mean()) + missed * sharpness
    return 1 / sharpness, loss


def _slope(sharpness: float, below: np.ndarray, missed: float) -> float:
    """Of the mean log loss over what logits are multiplied by, in which it is convex.

    Args:
        sharpness: one divided by the temperature.
        below: (N, K) logits less the largest of their image.
        missed: mean of the largest logit less that of the true class.
    """
    weights = np.exp(below * sharpness)
    return float(((below * weights).sum(axis=1) / weights.sum(axis=1)).mean()) + missed


def log_loss(
    labels: Int[np.ndarray, "N"],
    probabilities: Float[np.ndarray, "N K"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Measure:
    """The mean of -ln(probability of the true class), in nats; the interval is a (cluster) bootstrap.

    Probabilities below 2.2e-16 count as that, so that one certain mistake does not make the mean infinite
    (scikit-learn's rule).

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])).value, 4)
    0.6931
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return _mean_loss(-np.log(np.clip(true, np.finfo(np.float64).eps, 1.0)), name="log loss", groups=groups, seed=seed)


def brier_score(
    labels: Int[np.ndarray, "N"],
    probabilities: Float[np.ndarray, "N K"],
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Measure:
    """The mean squared distance between probabilities and the truth; the interval is a (cluster) bootstrap.

    With two classes it is that of the second one, from 0 to 1; with more, squares are summed over the classes, and the
    worst is 2 (scikit-learn's rule). Always answering one half gives 0.25.

    Source: G. W. Brier (1950), Verification of forecasts expressed in terms of probability, MWR 78, p. 1.

    >>> brier_score(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])).value
    0.25
    """
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    losses = ((probabilities.astype(np.float64) - truth) ** 2).sum(axis=1)
    if probabilities.shape[1] == 2:
        losses = losses / 2
    return _mean_loss(losses, name="Brier score", groups=groups, seed=seed)


def _mean_loss(losses: Float[np.ndarray, "N"], *, name: str, groups: Int[np.ndarray, "N"] | None, seed: int) -> Measure:
    plain = Measure(name, None, len(losses), scale="number", undefined_because="there are no images")
    if not len(losses):
        return plain
    clusters = np.arange(len(losses)) if groups is None else groups
    replicates = cluster_bootstrap(
        lambda weights: weights @ losses / weights.sum(1),
        clusters,
        seed=seed,
        resamples=affordable_resamples(len(losses)),
    )
    plain = replace(plain, value=float(losses.mean()), undefined_because=None)
    return bootstrapped(plain, replicates, clusters=clusters)


def expected_calibration_error(
    labels: Int[np.ndarray, "N"],
    probabilities: Float[np.ndarray, "N K"],
    *,
    bins: int = 15,
    groups: Int[np.ndarray, "N"] | None = None,
    seed: int = 0,
) -> Calibration:
    """The gap between confidence and accuracy, averaged over bins of confidence.

    The confidence of an image is the probability of its predicted class. Bins are equally wide, open on the left and
    closed on the right, (0, 1/B], …, ((B-1)/B, 1]; a confidence of 1 lies in the last one. In each bin the gap is
    |accuracy - mean confidence|; the error is their mean weighted by the number of images.

    The estimate is biased upwards on few images (0.11 for a perfect model and 100 images), so the interval goes down
    by how far the sampled gaps stray from the measured ones (the triangle inequality makes that safe), and to 0 when
    a calibrated model could have scored as much; it goes up by the spread of the resampled error.

    Source: C. Guo et al. (2017), On Calibration of Modern Neural Networks, equation 3 (15 bins as there). Others count
    otherwise: torchmetrics 1.9 puts a confidence of 1 into a bin of its own and means the probability of the second
    class where there are two; pytorch-ood's `calibration_error` is the root of the mean square over bins of a hundred
    images each, in older versions without the last one.
    """
    N = len(labels)
    plain = Measure("expected calibration error", None, N, scale="number", undefined_because="there are no images")
    if not N:
        return Calibration(plain, None, None, "not enough evidence")
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    membership = _bins(confidence, bins)
    gaps = membership * (right - confidence)[:, None]
    value = float(np.abs(gaps.sum(0)).sum() / N)
    clusters = np.arange(N) if groups is None else groups
    resamples = affordable_resamples(N)
    sampled = cluster_bootstrap(
        lambda weights: weights @ gaps / weights.sum(1)[:, None], clusters, seed=seed, resamples=resamples
    )
    measure = replace(plain, value=value, undefined_because=None)
    measure = bootstrapped(measure, np.abs(sampled).sum(1), clusters=clusters)
    limit = _limit_if_calibrated(confidence, membership, seed=seed, draws=resamples)
    if measure.low is not None:
        low, high = _error_limits(sampled, gaps.sum(0) / N)
        measure = replace(measure, low=0.0 if value <= limit else low, high=high, method=f"{measure.method} of gaps")
    mean_confidence = float(confidence.mean())
    verdict: CalibrationVerdict = "not enough evidence"
    if value > limit and (groups is None or measure.low):
        verdict = "over-confident" if mean_confidence > right.mean() else "under-confident"
    return Calibration(measure, mean_confidence, limit, verdict)


def _error_limits(sampled: Float[np.ndarray, "R bins"], measured: Float[np.ndarray, " bins"]) -> tuple[float, float]:
    value = float(np.abs(measured).sum())
    strayed, errors = np.abs(sampled - measured).sum(1), np.abs(sampled).sum(1)
    low = value - float(np.quantile(strayed, 0.95))
    high = value + float(np.quantile(errors, 0.975) - errors.mean())
    return max(0.0, low), min(1.0, max(value, high))


def _bins(confidence: Float[np.ndarray, "N"], bins: int) -> Float[np.ndarray, "N bins"]:
    """Ones where an image lies in a bin."""
    # k / B is what people mean by 0.6 in tenths; linspace gives 0.6000000000000001.
    edges = np.arange(1, bins) / bins
    return np.eye(bins)[np.searchsorted(edges, confidence, side="left")]


def _limit_if_calibrated(
    confidence: Float[np.ndarray, "N"], membership: Float[np.ndarray, "N bins"], *, seed: int, draws: int
) -> float:
    """The 95 % quantile of the error when every image is right with exactly the probability stated for it."""
    random = np.random.default_rng(seed)
    rows = max(1, 4_000_000 // len(confidence))
    errors = []
    for start in range(0, draws, rows):
        right = random.random((min(rows, draws - start), len(confidence))) < confidence
        errors.append(np.abs((right - confidence) @ membership).sum(1) / len(confidence))
    return float(np.quantile(np.concatenate(errors), 0.95))
