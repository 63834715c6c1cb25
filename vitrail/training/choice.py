"""Which model is kept: the best epoch where it beats the probe beyond chance, otherwise the probe, or the other way
round. And what that choice is worth, measured on images that did not make it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from vitrail.basics.seeds import derived_seed
from vitrail.features.folds import Fold, stratified_folds
from vitrail.measures.calibration import fitted_temperature, log_losses
from vitrail.measures.paired import Decision, PairedComparison, compare_losses, decision_between
from vitrail.training.state import TrainingState

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
        return log_losses(self.logits, self.labels)


@dataclass(frozen=True)
class EpochChoice:
    """What was kept.

    Attributes:
        epoch: the best one, counted from 1; None when the probe stayed.
        temperature: by which the kept model's logits are to be divided.
        comparison: training against the probe; every image was answered by the epoch and temperature that the other
            images chose.
        cross_fitted: (N, K) logits of the validation images, each by the choice that the other images would have
            made: figures from them are those of images that had no part in the choice.
    """

    epoch: int | None
    temperature: float
    comparison: PairedComparison
    cross_fitted: Float[np.ndarray, "N K"]

    def sentence(self, state: TrainingState) -> str:
        """What was kept and why, after a training that ended in `state`."""
        comparison = self.comparison
        difference = comparison.difference.value or 0
        measured = f"validation log loss {abs(difference):.3f} nats"
        lower = "lower" if difference > 0 else "higher"
        if self.epoch is not None:
            certain = comparison.decision == "better"
            beyond = "beyond chance" if certain else "not beyond chance; in doubt, training is kept"
            return (
                f"Epoch {self.epoch} of {state.epochs} (stage {state.history[self.epoch - 1]['stage']}): "
                f"{measured} {lower} than the probe's, {beyond} (p = {comparison.p_value:.2g})."
            )
        if comparison.decision == "worse":
            return f"The probe: training made it worse ({measured} higher, p = {comparison.p_value:.2g})."
        return f"The probe: training did not beat it beyond chance ({measured} {lower}, p = {comparison.p_value:.2g})."


def choose_epoch(candidates: Candidates, *, in_doubt: Literal["probe", "trained"] = "probe") -> EpochChoice:
    """Keep the best epoch or the probe, whichever is better beyond chance, and where neither is, what `in_doubt` says.

    The best epoch has the lowest validation loss at its best temperature: a network that was trained on is too sure of
    itself, which can be mended afterwards, and must not hide that it is right more often.
    """
    everything = np.arange(len(candidates.labels))
    folds = _folds(candidates)
    probe, tuned = candidates.logits[0], _chosen_by_others(candidates, folds)
    losses, groups = log_losses(np.stack([probe, tuned]), candidates.labels), candidates.groups
    comparison = compare_losses(*losses, groups=groups, seed=candidates.seed)
    taken = _takes(comparison.decision, in_doubt)
    kept = np.array(tuned if taken else probe)
    for chosen_on, judged in folds:
        theirs = None if groups is None else np.unique(groups[chosen_on], return_inverse=True)[1]
        decision = decision_between(*losses[:, chosen_on], groups=theirs, seed=candidates.seed)
        kept[judged] = tuned[judged] if _takes(decision, in_doubt) else probe[judged]
    if not taken:
        return EpochChoice(None, 1.0, comparison, kept)
    epoch, temperature = _best_epoch(candidates, everything)
    return EpochChoice(epoch, temperature, comparison, kept)


def _takes(decision: Decision, in_doubt: Literal["probe", "trained"]) -> bool:
    """Whether training is kept."""
    return decision == "better" or (in_doubt == "trained" and decision != "worse")


def cross_fitted_epochs(candidates: Candidates) -> Float[np.ndarray, "N K"]:
    """Logits of every image by the epoch that the other images would have chosen; the probe has no part in it."""
    return _chosen_by_others(candidates, _folds(candidates))


def _chosen_by_others(candidates: Candidates, folds: list[Fold]) -> Float[np.ndarray, "N K"]:
    epoch, temperature = _best_epoch(candidates, np.arange(len(candidates.labels)))
    logits = candidates.logits[epoch] / np.float32(temperature)
    for chosen_on, judged in folds:
        epoch, temperature = _best_epoch(candidates, chosen_on)
        logits[judged] = candidates.logits[epoch, judged] / np.float32(temperature)
    return logits


def _best_epoch(candidates: Candidates, images: Int[np.ndarray, " n"]) -> tuple[int, float]:
    """The epoch, from 1, with the lowest mean loss on these images at its best temperature, and that temperature."""
    labels = candidates.labels[images]
    found = []
    for epoch in range(1, len(candidates.logits)):
        temperature, loss = fitted_temperature(candidates.logits[epoch, images], labels)
        found.append((loss, epoch, temperature))
    _, epoch, temperature = min(found)
    return epoch, temperature


def _folds(candidates: Candidates) -> list[Fold]:
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
    pairs = stratified_folds(labels, count, groups=groups, seed=state)
    return [(chosen_on, judged) for chosen_on, judged in pairs if len(judged) and len(chosen_on)]
