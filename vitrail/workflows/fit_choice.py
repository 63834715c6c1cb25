"""Which model is kept: the best epoch where it beats the probe beyond chance, otherwise the probe. And what that
choice is worth, measured on images that did not make it."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from vitrail.basics.seeds import derived_seed
from vitrail.measures.paired import PairedComparison, compare_losses

FOLDS = 5


@dataclass(frozen=True)
class Candidates:
    """What the probe (row 0) and every epoch (rows 1…E) answered about the validation images.

    Attributes:
        logits: (1 + E, N, K).
        labels: true class numbers.
        groups: numbers of the images' groups; None where every image stands for itself.
        seed: of folds and permutations.
    """

    logits: Float[np.ndarray, "M N K"]
    labels: Int[np.ndarray, "N"]
    groups: Int[np.ndarray, "N"] | None
    seed: int

    def losses(self) -> Float[np.ndarray, "M N"]:
        """Negative log probability of the true class, in nats."""
        shifted = self.logits.astype(np.float64) - self.logits.max(axis=2, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
        return -log_probabilities[:, np.arange(len(self.labels)), self.labels]


@dataclass(frozen=True)
class Choice:
    """What was kept.

    Attributes:
        epoch: the best one, counted from 1; None when the probe stayed.
        comparison: training against the probe; every image was answered by the epoch that the other images chose.
        cross_fitted: (N, K) logits of the validation images, each by the choice that the other images would have
            made: figures from them are those of images that had no part in the choice.
    """

    epoch: int | None
    comparison: PairedComparison
    cross_fitted: Float[np.ndarray, "N K"]


def choose(candidates: Candidates) -> Choice:
    """Keep the epoch with the lowest validation loss if training beats the probe beyond chance, else the probe."""
    losses, everything = candidates.losses(), np.arange(len(candidates.labels))
    folds = _folds(candidates)
    tuned = _epochs_chosen_by_others(losses, folds)
    comparison = _compared(candidates, losses, tuned, everything)
    kept = tuned if comparison.decision == "better" else np.zeros_like(tuned)
    for chosen_on, judged in folds:
        better = _compared(candidates, losses, tuned, chosen_on).decision == "better"
        kept[judged] = tuned[judged] if better else 0
    best = _best_epoch(losses, everything) if comparison.decision == "better" else None
    return Choice(best, comparison, candidates.logits[kept, everything])


def cross_fitted_epochs(candidates: Candidates) -> Float[np.ndarray, "N K"]:
    """Logits of every image by the epoch that the other images would have chosen; the probe has no part in it."""
    epochs = _epochs_chosen_by_others(candidates.losses(), _folds(candidates))
    return candidates.logits[epochs, np.arange(len(epochs))]


def _epochs_chosen_by_others(
    losses: Float[np.ndarray, "M N"], folds: list[tuple[np.ndarray, np.ndarray]]
) -> Int[np.ndarray, "N"]:
    epochs = np.full(losses.shape[1], _best_epoch(losses, np.arange(losses.shape[1])))
    for chosen_on, judged in folds:
        epochs[judged] = _best_epoch(losses, chosen_on)
    return epochs


def _best_epoch(losses: Float[np.ndarray, "M N"], images: Int[np.ndarray, "n"]) -> int:
    """The epoch, from 1, with the lowest mean loss on these images."""
    return 1 + int(losses[1:, images].mean(axis=1).argmin())


def _compared(
    candidates: Candidates, losses: np.ndarray, tuned: Int[np.ndarray, "N"], images: Int[np.ndarray, "n"]
) -> PairedComparison:
    groups = None if candidates.groups is None else np.unique(candidates.groups[images], return_inverse=True)[1]
    return compare_losses(losses[0, images], losses[tuned[images], images], groups=groups, seed=candidates.seed)


def _folds(candidates: Candidates) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of images that choose and images that are judged; a group stands on one side."""
    labels, groups = candidates.labels, candidates.groups
    units = np.arange(len(labels)) if groups is None else groups
    count, state = min(FOLDS, int(units.max()) + 1), derived_seed(candidates.seed, "choice") % 2**32
    if count < 2:
        return []
    if int(np.bincount(labels).max()) < count:  # too few images to keep classes apart
        part_of = np.random.default_rng(state).permutation(int(units.max()) + 1) % count
        return [
            (np.flatnonzero(part_of[units] != part), np.flatnonzero(part_of[units] == part)) for part in range(count)
        ]
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = kind(count, shuffle=True, random_state=state).split(np.zeros(len(labels)), labels, groups)
        return [(chosen_on, judged) for chosen_on, judged in pairs if len(judged) and len(chosen_on)]
