"""Gates of the regression suite that look at images: a small adversarial step, and the shift of the data."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool

from vitrail.evaluation.attacks import attacked_pixels, fgsm
from vitrail.evaluation.sampling import evenly_sampled
from vitrail.measures.means import share
from vitrail.measures.replacement import paired_difference
from vitrail.rollout.admission.contest import Contender, Contest
from vitrail.rollout.admission.gates import Gate, bounded_gate, not_measured_gate, percent

_BATCH = 16


def adversarial_gate(contest: Contest) -> Gate:
    """The share of images that are right after one small step against each model, compared image by image.

    Few images are attacked: that the candidate is worse by more than the bound must be more than chance.
    """
    policy = contest.policy
    mine = _right_when_attacked(contest, contest.candidate)
    value, least = float(mine.mean()), policy.least_adversarial_accuracy
    figures = {
        "attack_epsilon": policy.attack_epsilon,
        "adversarial_accuracy": share(mine, name="adversarial accuracy").as_json(),
    }
    said = f"after one step of {policy.attack_epsilon * 255:.3g} of 255 against it, it is right about {percent(value)}"
    if contest.stable is None:
        said += f"; {percent(least)} are asked for"
        return bounded_gate("adversarial_robustness", said, beyond=least - value, figures=figures)
    theirs = _right_when_attacked(contest, contest.stable)
    difference = paired_difference(theirs, mine)
    before, high = float(theirs.mean()), 0.0 if difference.high is None else difference.high
    figures |= {
        "adversarial_accuracy_before": share(theirs, name="adversarial accuracy").as_json(),
        "difference": difference.as_json(),
    }
    said += f", {contest.stable_id} about {percent(before)} ({len(mine)} images); "
    said += f"{percent(policy.most_robustness_loss)} may be lost"
    gate = bounded_gate(
        "adversarial_robustness", said, beyond=max(least, before - policy.most_robustness_loss) - value, figures=figures
    )
    is_chance = gate.decision == "failed" and value >= least and high >= 0
    return replace(gate, decision="not enough evidence") if is_chance else gate


def _right_when_attacked(contest: Contest, one: Contender) -> Bool[np.ndarray, "N"]:
    subject = contest.subject(one)
    judged = evenly_sampled(one.judged, contest.policy.attack_images)
    logits, attack = one.predictor.logits_from_unit_pixels(), fgsm(contest.policy.attack_epsilon)
    answers = []
    for start, batch in enumerate(subject.pixel_batches(judged, batch_size=_BATCH)):
        labels = torch.from_numpy(judged.labels[start * _BATCH :][: len(batch)].astype(np.int64))
        pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
        attacked = attacked_pixels(logits, pixels.to(one.predictor.device), labels.to(one.predictor.device), attack)
        with torch.no_grad():
            answers.append(logits(attacked).argmax(1).cpu().numpy())
    return np.concatenate(answers) == judged.labels


def shift_gate(contest: Contest) -> Gate:
    """Whether the images are like those that the candidate knows: on others its figures say little."""
    section = contest.shift
    if isinstance(section, str):
        return not_measured_gate("distribution_shift", section)
    verdict = section.sentences[0]
    said = verdict.text
    figures = {"verdict": verdict.verdict, "figures": section.as_json()["figures"]}
    if verdict.verdict == "not enough images":
        return Gate("distribution_shift", "not enough evidence", said, None, figures)
    return bounded_gate("distribution_shift", said, beyond=float(verdict.verdict == "shifted"), figures=figures)
