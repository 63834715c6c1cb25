"""What a model answers about disturbed images: attacked, noisy, corrupted. One pass, in the memory of a batch."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vitrail.basics.events import WorkAdvanced, WorkEnded, WorkStarted
from vitrail.basics.seeds import derived_seed
from vitrail.data.corruptions.known import corrupted, picture_seed
from vitrail.data.workers import map_in_workers
from vitrail.evaluation.attacks import Attack, Logits, attacked_pixels, one_step, pgd, pixel_gradients, without_gradient
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.robustness_settings import RobustnessSettings
from vitrail.evaluation.subject import Subject

WORK = "robustness"
BACKWARD = 2
"""What a gradient costs beside the answer, in answers; only the bar counts with it."""


@dataclass(frozen=True)
class Example:
    """An image that was answered rightly, and what an attack made of it.

    Attributes:
        place: its row among the images.
        epsilon: the smallest of the tried changes that misled the model.
        answer, probability: what the model says then, a class number.
        pixels, attacked: (H, W, C) on the scale 0-1.
    """

    place: int
    epsilon: float
    answer: int
    probability: float
    pixels: Float[np.ndarray, "H W C"]
    attacked: Float[np.ndarray, "H W C"]


@dataclass
class DisturbedAnswers:
    """Class numbers answered about N images, under every disturbance.

    Attributes:
        clean: about the images as they are, [N].
        without_gradient: which images have a gradient that no attack can go by.
        fgsm: by epsilon, [N].
        withstood: by norm and epsilon, which images PGD could not mislead the model about with that change or any
            smaller one that was tried; those that it is wrong about anyway are none of them, [N].
        random: by epsilon, about images changed by chance, each value by exactly epsilon, [N].
        noise: by standard deviation, [N].
        corrupted: by corruption, one row per severity, [S, N].
        examples: of attacks that succeeded.
        shown: an image that the model is right about, to show corruptions on.
    """

    clean: Int[np.ndarray, "N"]
    without_gradient: Bool[np.ndarray, "N"]
    fgsm: dict[float, Int[np.ndarray, "N"]] = field(default_factory=dict)
    withstood: dict[tuple[str, float], Bool[np.ndarray, "N"]] = field(default_factory=dict)
    random: dict[float, Int[np.ndarray, "N"]] = field(default_factory=dict)
    noise: dict[float, Int[np.ndarray, "N"]] = field(default_factory=dict)
    corrupted: dict[str, Int[np.ndarray, "S N"]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    shown: UInt8[np.ndarray, "H W C"] | None = None


def disturbed_answers(subject: Subject, judged: JudgedImages, settings: RobustnessSettings) -> DisturbedAnswers:
    """Ask the model about every image of `judged`, under every disturbance; with progress.

    Whatever is drawn by lot depends on the seed and the image's id, not on batches or workers.

    Raises:
        NotJudged: there is no model.
        UnreadableImageError: an image went away since it was judged.
    """
    predictor, n = subject.needed_predictor(), len(judged)
    view, moved = predictor.logits_from_unit_pixels(), _offset(judged)

    def obeying(pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        logits = view(pixels)
        return logits if moved is None else logits + moved.to(logits)

    found = _empty(n, settings)
    total = n * answers_per_image(settings)
    subject.emit(WorkStarted(WORK, total, "answers"))
    try:
        start = 0
        for pixels in subject.pixel_batches(judged, batch_size=settings.robustness_batch_size):
            places = np.arange(start, start + len(pixels))
            batch = _Batch(obeying, pixels, places, judged, subject, settings, predictor.device)
            batch.disturb(found)
            start += len(pixels)
    finally:
        subject.emit(WorkEnded(WORK))
    return found


def _offset(judged: JudgedImages) -> Float[Tensor, "K"] | None:
    """What makes the largest logit the class that the package's decision answers; None where it is so anyway."""
    if judged.decision is None or not judged.decision.logit_offset:
        return None
    return torch.tensor([0.0, judged.decision.logit_offset])


def answers_per_image(settings: RobustnessSettings) -> int:
    """What is computed for one image, at most, in answers."""
    attacks = len(settings.epsilons)
    steps = (attacks + len(set(settings.attack_lengths) - {0.0})) * settings.attack_steps * (1 + BACKWARD)
    curves = 2 * attacks + len(settings.noise_levels)
    return 1 + BACKWARD + steps + curves + len(settings.corruptions) * len(settings.corruption_severities)


def _empty(n: int, settings: RobustnessSettings) -> DisturbedAnswers:
    def answers() -> Int[np.ndarray, "N"]:
        return np.zeros(n, dtype=np.int64)

    lengths = sorted(set(settings.attack_lengths) - {0.0})
    attacks = [("inf", each) for each in settings.epsilons] + [("2", each) for each in lengths]
    return DisturbedAnswers(
        answers(),
        np.zeros(n, dtype=bool),
        {each: answers() for each in settings.epsilons},
        {each: np.zeros(n, dtype=bool) for each in attacks},
        {each: answers() for each in settings.epsilons},
        {each: answers() for each in settings.noise_levels},
        {name: np.zeros((len(settings.corruption_severities), n), dtype=np.int64) for name in settings.corruptions},
    )


@dataclass(frozen=True)
class _Batch:
    view: Logits
    whole: UInt8[np.ndarray, "B H W C"]
    places: Int[np.ndarray, "B"]
    judged: JudgedImages
    subject: Subject
    settings: RobustnessSettings
    device: torch.device

    def disturb(self, found: DisturbedAnswers) -> None:
        """Write what the model says about these images into `found`."""
        corruptions = self._corruptions()  # begun first: workers make them while attacks are computed
        pixels, labels = self._unit(self.whole), torch.from_numpy(self.judged.labels[self.places]).to(self.device)
        # Of the very batch that attacks are computed in, so that with an epsilon of 0 nothing at all changes.
        gradients, logits = pixel_gradients(self.view, pixels, labels)
        found.clean[self.places] = logits.argmax(dim=1).cpu().numpy()
        found.without_gradient[self.places] = without_gradient(gradients).cpu().numpy()
        self._advance(1 + BACKWARD)
        for epsilon in found.fgsm:
            moved = one_step(pixels, pixels, gradients, Attack(epsilon, step_size=epsilon))
            found.fgsm[epsilon][self.places] = self._answers(moved)
            found.random[epsilon][self.places] = self._answers(self._changed_by_chance(pixels, epsilon))
        right = logits.argmax(dim=1) == labels
        if found.shown is None and bool(right.any()):
            found.shown = self.whole[int(right.nonzero()[0, 0])]
        for norm in ("inf", "2"):
            self._descend(found, norm, pixels, labels, right)
        self._add_noise(found)
        for name in self.settings.corruptions:
            variants = np.stack([next(corruptions) for _ in self.places])  # B, S, H, W, C
            for row in range(variants.shape[1]):
                found.corrupted[name][row, self.places] = self._answers(self._unit(variants[:, row]))

    def _descend(
        self, found: DisturbedAnswers, norm: str, pixels: Tensor, labels: Tensor, right: Bool[Tensor, "B"]
    ) -> None:
        """PGD, from the smallest change on: what that misled is not tried again with more of it."""
        standing = right.nonzero()[:, 0]
        for (kind, epsilon), withstood in found.withstood.items():
            if kind != norm:
                continue
            attack = pgd(epsilon, steps=self.settings.attack_steps, norm=norm, until_wrong=True)  # type: ignore[arg-type]
            if len(standing):
                seeds = [self._seed("pgd", norm, epsilon, row) for row in standing.tolist()]
                moved = attacked_pixels(self.view, pixels[standing], labels[standing], attack, seeds=seeds)
                logits = self._logits(moved)
                stands = logits.argmax(dim=1) == labels[standing]
                self._keep_examples(found, norm, epsilon, pixels[standing], moved, logits, standing, stands)
                standing = standing[stands]
            withstood[self.places[standing.cpu().numpy()]] = True
            self._advance(attack.steps * (1 + BACKWARD))

    def _keep_examples(  # noqa: PLR0913 - what is known of each image stands side by side
        self, found: DisturbedAnswers, norm: str, epsilon: float, pixels: Tensor, moved: Tensor, logits: Tensor,
        rows: Tensor, stands: Tensor,
    ) -> None:  # fmt: skip
        for place in (~stands).nonzero()[:, 0].tolist() if norm == "inf" else ():
            row = int(self.places[int(rows[place])])
            if self._is_wanted(found, row):
                moved_by = _offset(self.judged)
                own = logits[place] if moved_by is None else logits[place] - moved_by.to(logits)
                probabilities = own.double().softmax(dim=0)
                answer = int(logits[place].argmax())
                before, after = (_pictured(each[place]) for each in (pixels, moved))
                found.examples.append(Example(row, epsilon, answer, float(probabilities[answer]), before, after))

    def _is_wanted(self, found: DisturbedAnswers, row: int) -> bool:
        """Of every class about as many: rows mostly stand class by class."""
        most, labels = self.settings.robustness_examples, self.judged.labels
        alike = sum(int(labels[each.place] == labels[row]) for each in found.examples)
        return len(found.examples) < most and alike < -(-most // len(np.unique(labels)))

    def _add_noise(self, found: DisturbedAnswers) -> None:
        """The same draws at every level, so that the levels differ in nothing else."""
        levels, shape = list(found.noise), self.whole.shape[1:]
        if not levels:
            return
        dice = [np.random.Generator(np.random.PCG64(self._seed("noise", row))) for row in range(len(self.places))]
        noise = np.stack([each.standard_normal(shape, dtype=np.float32) for each in dice])
        for level in levels:
            noisy = (self.whole.astype(np.float32) / 255 + np.float32(level) * noise).clip(0, 1)
            moved = torch.from_numpy(noisy).permute(0, 3, 1, 2).contiguous().to(self.device)
            found.noise[level][self.places] = self._answers(moved)

    def _changed_by_chance(self, pixels: Float[Tensor, "B C H W"], epsilon: float) -> Float[Tensor, "B C H W"]:
        dice = [np.random.Generator(np.random.PCG64(self._seed("signs", row))) for row in range(len(pixels))]
        signs = np.stack([each.integers(0, 2, tuple(pixels.shape[1:]), dtype=np.int8) for each in dice])
        return (pixels + epsilon * (2 * torch.from_numpy(signs).to(pixels) - 1)).clamp(0, 1)

    def _corruptions(self) -> Iterator[UInt8[np.ndarray, "S H W C"]]:
        """Corruption by corruption, image by image."""
        ids, seed = self.judged.ids, self.subject.seed
        made = [
            (self.whole[row], name, picture_seed(seed, ids[place], name))
            for name in self.settings.corruptions
            for row, place in enumerate(self.places)
        ]
        severities = functools.partial(_in_severities, self.settings.corruption_severities)
        return map_in_workers(severities, made, workers=self.subject.workers, chunk=4)

    def _unit(self, whole: UInt8[np.ndarray, "B H W C"]) -> Float[Tensor, "B C H W"]:
        return torch.from_numpy(np.ascontiguousarray(whole)).to(self.device).permute(0, 3, 1, 2).float().div(255)

    def _logits(self, pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        with torch.no_grad():
            return self.view(pixels)

    def _answers(self, pixels: Float[Tensor, "B C H W"]) -> Int[np.ndarray, "B"]:
        answers = self._logits(pixels).argmax(dim=1).cpu().numpy()
        self._advance(1)
        return answers

    def _advance(self, answers: int) -> None:
        self.subject.emit(WorkAdvanced(WORK, answers * len(self.places)))

    def _seed(self, *parts: object) -> int:
        *named, row = parts
        return derived_seed(self.subject.seed, "robustness", *named, self.judged.ids[self.places[row]])  # type: ignore[call-overload]


def _in_severities(severities: Sequence[int], item: tuple[np.ndarray, str, int]) -> UInt8[np.ndarray, "S H W C"]:
    pixels, name, seed = item
    return np.stack([corrupted(pixels, name, severity, seed=seed) for severity in severities])


def _pictured(pixels: Float[Tensor, "C H W"]) -> Float[np.ndarray, "H W C"]:
    return pixels.permute(1, 2, 0).cpu().numpy()
