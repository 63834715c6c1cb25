"""The linear probe: L2 logistic regression on frozen features, which, folded into a head, is a model."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, nobody, watched
from vitrail.basics.quiet import quiet
from vitrail.basics.settings import Settings
from vitrail.features.folds import MANY_CLASSES, Fold, stratified_folds
from vitrail.measures.calibration import log_losses

_LEAST_PROBABILITY = 1e-6
"""One certain mistake must not decide on the strength."""


class ProbeSettings(Settings):
    """How the probe's regularisation is chosen."""

    strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Inverse regularisation strengths C to try, on standardised features (scikit-learn's convention)."""
    folds: int = 5
    """Folds of the cross-validation inside the training images."""
    most_images_for_choice: int = 10_000
    """The choice is made on at most so many training images; the probe itself is fitted on all."""


@dataclass(frozen=True)
class Probe:
    """A linear map from pooled features to logits, the features' scaling folded in.

    Attributes:
        weight: (K, D) float32.
        bias: (K,) float32.
        strength: the chosen C.
        cross_validated_loss: mean log loss in nats of each strength tried, by strength; empty when it was not chosen.
        folds: of the cross-validation; 0 where the images did not suffice for two.
    """

    weight: Float[np.ndarray, "K D"]
    bias: Float[np.ndarray, "K"]
    strength: float
    cross_validated_loss: dict[float, float]
    folds: int = 0

    def logits(self, features: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N K"]:
        """Logits; their softmax is the class probability."""
        return features @ self.weight.T + self.bias


def fit_probe(
    features: Float[np.ndarray, "N D"],
    labels: Int[np.ndarray, "N"],
    settings: ProbeSettings,
    *,
    groups: list[str | None] | None = None,
    seed: int = 0,
    emit: Emit = nobody,
    weights: Float[np.ndarray, "N"] | None = None,
) -> Probe:
    """Fit the probe, its strength chosen by cross-validated log loss inside these images.

    Args:
        features: pooled features of the training images.
        labels: class numbers 0…K-1, each of them present.
        groups: images of the same group (patient) never stand on both sides of a fold.
        seed: of the folds.
        emit: receives progress.
        weights: how much each image counts, in the fit and in the choice of its strength; None: all the same.

    Raises:
        InputError: fewer than two classes, or features that are not finite.
    """
    if len(np.unique(labels)) < 2:
        raise InputError(
            "the training images are all of one class: there is nothing to tell apart",
            hint="add images of at least one other class",
        )
    if not np.isfinite(features).all():
        raise InputError("the model gives features that are not finite", hint="try --set precision=float32")
    mean, scale = _scaling(features)
    scaled = (features - mean) / scale
    folds = _folds(labels, settings, groups=groups, seed=seed)
    counted = np.ones(len(labels)) if weights is None else weights
    losses = _cross_validated_losses(scaled, labels, folds, settings.strengths, emit=emit, counted=counted)
    strength = min(losses, key=lambda each: losses[each]) if losses else 1.0
    weight, bias = _fitted(scaled, labels, strength, counted=counted)
    folded = weight / scale
    return Probe(folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), strength, losses, len(folds))


def _scaling(features: Float[np.ndarray, "N D"]) -> tuple[np.ndarray, np.ndarray]:
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64)
    return mean, np.where(scale > 1e-8, scale, 1.0)


def _folds(
    labels: Int[np.ndarray, "N"], settings: ProbeSettings, *, groups: list[str | None] | None, seed: int
) -> list[Fold]:
    """Stratified folds that no group crosses, as many as groups and images allow; none where they do not suffice for
    two."""
    chosen = _subset(len(labels), settings.most_images_for_choice, seed)
    count = min(settings.folds, int(np.bincount(labels[chosen]).max()))
    grouped = groups is not None and any(group is not None for group in groups)
    names = [groups[index] or f"\0{index}" for index in chosen] if groups is not None and grouped else []
    if grouped:
        count = min(count, len(set(names)))
    if count < 2:
        return []
    pairs = stratified_folds(labels[chosen], count, groups=names if grouped else None, seed=seed)
    # A fold without images, or that leaves one class to fit on, tells nothing.
    return [
        (chosen[train], chosen[held_out])
        for train, held_out in pairs
        if len(held_out) and len(np.unique(labels[chosen[train]])) > 1
    ]


def _cross_validated_losses(
    scaled: Float[np.ndarray, "N D"],
    labels: Int[np.ndarray, "N"],
    folds: list[Fold],
    strengths: tuple[float, ...],
    *,
    emit: Emit,
    counted: Float[np.ndarray, "N"],
) -> dict[float, float]:
    """Mean log loss of held-out images by strength; empty where there are no folds."""
    if not folds:
        return {}
    losses = dict.fromkeys(strengths, 0.0)
    judged = sum(float(counted[held_out].sum()) for _, held_out in folds)
    tasks = [(strength, fold) for fold in folds for strength in strengths]
    for strength, (train, held_out) in watched(tasks, emit, work="choosing the probe", total=len(tasks), unit="fits"):
        weight, bias = _fitted(
            scaled[train], labels[train], strength, classes=int(labels.max()) + 1, counted=counted[train]
        )
        logits = scaled[held_out] @ weight.T + bias
        each = np.minimum(log_losses(logits, labels[held_out]), -np.log(_LEAST_PROBABILITY))
        losses[strength] += float((each * counted[held_out]).sum()) / judged
    return losses


def _subset(count: int, most: int, seed: int) -> np.ndarray:
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _fitted(
    scaled: np.ndarray,
    labels: np.ndarray,
    strength: float,
    *,
    classes: int | None = None,
    counted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Weight (K, D) and bias (K,); a class without images gets a logit that no other falls below."""
    # At the optimum there is nothing to gain, and a step more or less is far below the choice of strength.
    with quiet(message="Line Search failed"), quiet(ConvergenceWarning), quiet(message=MANY_CLASSES):
        # Newton's method needs some ten steps here where L-BFGS needs a hundred: ten times as fast, measured.
        regression = LogisticRegression(C=strength, solver="newton-cg", tol=1e-6, max_iter=200).fit(
            scaled, labels, sample_weight=counted
        )
    weight, bias = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:
        # One logit z means probabilities sigmoid(z) and 1 - sigmoid(z): the softmax of (-z/2, z/2).
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    total = classes or len(regression.classes_)
    all_weights, all_biases = np.zeros((total, scaled.shape[1])), np.full(total, -1e4)
    all_weights[regression.classes_], all_biases[regression.classes_] = weight, bias
    return all_weights, all_biases
