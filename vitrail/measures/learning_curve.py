"""What the course of a training tells: when it had learnt most, and when it began to learn by heart."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vitrail.basics.errors import InputError, SettingsError
from vitrail.measures.intervals import Measure, affordable_resamples, bootstrapped, cluster_bootstrap
from vitrail.measures.means import difference_of_means, share


@dataclass(frozen=True)
class LearningCurve:
    """What one training's validation figures say; epochs are counted from 1.

    `convergence_epoch` is the first epoch whose accuracy comes near the best one, None when nothing was ever right.
    `overfitting_start` is the first epoch of a sustained rise of the validation loss, None when there is none.
    `final_train_val_gap` is validation loss minus training loss after the last epoch, in nats, None where the
    training loss was not measured as the validation loss is. `max_val_acc` is a share in [0, 1].
    """

    convergence_epoch: int | None
    overfitting_start: int | None
    final_train_val_gap: float | None
    max_val_acc: float

    def as_json(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)


def analyse_learning_curve(
    validation_accuracy: Float[np.ndarray, "E"],
    validation_loss: Float[np.ndarray, "E"],
    *,
    final_training_loss: float | None,
    share_of_best: float = 0.95,
    growth: float = 0.1,
    sustained: int = 3,
) -> LearningCurve:
    """When a training of E epochs converged, and since when its validation loss only grew.

    A rise is sustained when the loss lies more than `growth` above the lowest value so far for `sustained` epochs in
    a row, or from some epoch on until the end. One noisy epoch never counts, not even the last.

    Args:
        validation_accuracy: after each epoch, in [0, 1].
        validation_loss: mean loss after each epoch, in nats, not negative.
        final_training_loss: after the last epoch, measured as the validation loss is: eval mode, images neither
            augmented nor mixed. None where it was not measured so.
        share_of_best: an epoch has converged when its accuracy is at least this share of the best.
        growth: how far above its minimum the loss must lie, as a share of the minimum.
        sustained: epochs in a row, at least 2.

    Raises:
        InputError: there is no epoch, or a value is not finite or not in its range.
        SettingsError: `share_of_best`, `growth` or `sustained` is out of range.

    Source: 95 % of the best and 10 % growth are customary, not derived; 3 epochs are our choice against noise.

    >>> accuracy, loss = np.array([0.5, 0.8, 0.8, 0.8, 0.8]), np.array([0.7, 0.5, 0.6, 0.7, 0.8])
    >>> analyse_learning_curve(accuracy, loss, final_training_loss=0.25)
    LearningCurve(convergence_epoch=2, overfitting_start=3, final_train_val_gap=0.55, max_val_acc=0.8)
    """
    _check_settings(share_of_best=share_of_best, growth=growth, sustained=sustained)
    if not len(validation_loss):
        raise InputError(
            "there is no validation accuracy: the learning curve has no epochs",
            hint="train for at least one epoch with validation images",
        )
    for epoch, (accuracy, loss) in enumerate(zip(validation_accuracy, validation_loss, strict=True), start=1):
        _check_value(f"validation accuracy of epoch {epoch}", float(accuracy), largest=1)
        _check_value(f"validation loss of epoch {epoch}", float(loss))
    if final_training_loss is not None:
        _check_value("training loss of the last epoch", final_training_loss)
    best = float(validation_accuracy.max())
    rising = validation_loss > (1 + growth) * np.minimum.accumulate(validation_loss)
    return LearningCurve(
        convergence_epoch=int((validation_accuracy >= share_of_best * best).argmax()) + 1 if best > 0 else None,
        overfitting_start=_first_sustained(rising, sustained=sustained),
        final_train_val_gap=None if final_training_loss is None else float(validation_loss[-1]) - final_training_loss,
        max_val_acc=best,
    )


def curve_measures(
    right: Bool[np.ndarray, "E N"],
    final_losses: Float[np.ndarray, "N"],
    training_losses: Float[np.ndarray, "S"] | None,
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    training_groups: Int[np.ndarray, "S"] | None = None,
    share_of_best: float = 0.95,
    seed: int = 0,
) -> dict[str, Measure]:
    """The figures of a `LearningCurve` with n and interval, where they can have one, under the same names.

    Args:
        right: whether each validation image was answered right, after each epoch.
        final_losses: log loss of each validation image after the last epoch, in nats.
        training_losses: the same of a sample of training images; None where it was not measured.
        groups: the patient (or whatever images share) of every validation image, numbered from 0 without gaps.
        training_groups: the same of the sample.
        share_of_best: as in `analyse_learning_curve`.
        seed: of the bootstrap.

    Returns:
        `max_val_acc` (of that epoch; that it was picked among all is not in its interval), `convergence_epoch` (a
        bootstrap over images: which epoch it would have been with other ones), and `final_train_val_gap` (validation
        and training images are different ones) where it was measured.
    """
    found = {"max_val_acc": share(right[right.mean(axis=1).argmax()], name="max_val_acc", groups=groups)}
    converged = _converged(right.mean(axis=1)[None], share_of_best)[0]
    if not np.isnan(converged):
        clusters = np.arange(right.shape[1]) if groups is None else groups
        resamples = affordable_resamples(right.shape[1], columns=len(right))
        replicates = cluster_bootstrap(
            lambda weights: _converged(weights @ right.T / weights.sum(1, keepdims=True), share_of_best),
            clusters, seed=seed, resamples=resamples,
        )  # fmt: skip
        plain = Measure("convergence_epoch", float(converged), right.shape[1], scale="number")
        found["convergence_epoch"] = bootstrapped(plain, replicates, clusters=clusters)
    if training_losses is not None:
        found["final_train_val_gap"] = difference_of_means(
            final_losses, training_losses, name="final_train_val_gap", groups=groups, other_groups=training_groups
        )
    return found


def _converged(accuracy: Float[np.ndarray, "R E"], share_of_best: float) -> Float[np.ndarray, "R"]:
    """The first epoch near the best one, from 1; NaN where nothing was ever right."""
    best = accuracy.max(axis=1, keepdims=True)
    return np.where(best[:, 0] > 0, (accuracy >= share_of_best * best).argmax(axis=1) + 1.0, np.nan)


def _first_sustained(rising: Bool[np.ndarray, "E"], *, sustained: int) -> int | None:
    edges = np.flatnonzero(np.diff(rising, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2).tolist():
        if end - start >= (2 if end == len(rising) else sustained):
            return start + 1
    return None


def _check_settings(*, share_of_best: float, growth: float, sustained: int) -> None:
    if not 0 < share_of_best <= 1:
        raise SettingsError(
            f"share_of_best is {share_of_best}, expected above 0 and at most 1", hint="leave it at 0.95"
        )
    if not growth > 0:
        raise SettingsError(f"growth is {growth}, expected above 0", hint="leave it at 0.1, that is 10 %")
    if sustained < 2:
        raise SettingsError(f"sustained is {sustained}, expected at least 2 epochs", hint="leave it at 3")


def _check_value(name: str, value: float, *, largest: float | int = math.inf) -> None:
    if math.isfinite(value) and 0 <= value <= largest:
        return
    expected = "a finite number, 0 or more" if largest == math.inf else f"a share from 0 to {largest:g}"
    raise InputError(
        f"the {name} is {value}, expected {expected}",
        hint="give accuracy as a share, not in percent"
        if value > largest
        else "the training has diverged: lower its learning rate",
    )
