"""Robustness: how often a model is right about images that were attacked, have noise, or are corrupted."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from vitrail.data.columns import ImageHome
from vitrail.evaluation.corruption_reference import corruption_reference
from vitrail.evaluation.disturbed_answers import DisturbedAnswers, disturbed_answers
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.robustness_page import drawn_robustness
from vitrail.evaluation.robustness_sentences import robustness_sentences
from vitrail.evaluation.robustness_settings import RobustnessSettings
from vitrail.evaluation.sampling import evenly_sampled, usual_number
from vitrail.evaluation.section import Section
from vitrail.evaluation.subject import Subject
from vitrail.measures.changed_answers import accuracy_change, changed_answers
from vitrail.measures.corruption_error import corruption_errors
from vitrail.measures.intervals import Measure, wilson
from vitrail.measures.means import share

PARAMETERS, FEWEST, MOST = 600_000_000, 60, 200
"""A processor is given so many parameters to go through: 108 images for a ViT-Ti, 60 for a ViT-S; some minutes."""


def robustness_section(subject: Subject, settings: RobustnessSettings) -> Section:
    """How a model bears attacks, noise and common corruptions, on some of the images.

    `clean_accuracy`, `adversarial_accuracy` (of all images, each attacked in one step), `robustness_drop` (the first
    minus the second) and `noise_0.1` … are the figures of the articles, under their names. `attacks` holds the curves:
    `fgsm` is the accuracy under that attack; `pgd` the share of all images that it is right about and that no change
    of that size or a smaller one that was tried misled it about; `pgd_success` the share misled of those it had right.

    Raises:
        NotJudged: only a table of answers was given.
        InputError: the reference cannot be read.
        UnreadableImageError: an image went away since it was judged.
    """
    predictor = subject.needed_predictor()
    reference = corruption_reference(settings, subject.judged.classes)
    usual = usual_number(predictor, parameters=PARAMETERS, least=FEWEST, most=MOST)
    judged = evenly_sampled(subject.judged, settings.robustness_images or usual)
    found = disturbed_answers(subject, judged, settings)
    figures = {
        "measured_on": judged.measured_on,
        "n": len(judged),
        "of": len(subject.judged),
        "groups": judged.group_count,
        "image_size": [predictor.preprocessing.height, predictor.preprocessing.width],
        "steps": settings.attack_steps,
        "severities": list(settings.corruption_severities),
        **_headline(found, judged, settings, subject.seed),
        **_curves(found, judged, settings),
        **_corrupted(found, judged, settings, subject.seed, reference),
        "gradient_check": gradient_check(found, judged),
        "examples": _examples(found, judged),
        "otherwise_than_judged": int((found.clean != judged.predicted).sum()),
    }
    packaged = ("measured_on", "n", "clean_accuracy", "adversarial_accuracy", "robustness_drop", "attack_epsilon")
    return Section(
        "robustness", 1, "How it bears disturbed images", figures, robustness_sentences(figures),
        "sections/robustness.html",
        packaged=(*packaged, *(name for name in figures if name.startswith("noise_")), "corruption_errors"),
        draw=functools.partial(drawn_robustness, found=found, seed=subject.seed),
    )  # fmt: skip


def noise_name(level: float | int) -> str:
    """The figure for noise of this standard deviation.

    >>> noise_name(0.1)
    'noise_0.1'
    """
    return f"noise_{level:g}"


def _share(right: Bool[np.ndarray, "N"], judged: JudgedImages, name: str) -> dict[str, Any]:
    return share(right, name=name, groups=judged.groups).as_json()


def _headline(found: DisturbedAnswers, judged: JudgedImages, settings: RobustnessSettings, seed: int) -> dict[str, Any]:
    clean = found.clean == judged.labels
    attacked = found.fgsm.get(settings.attack_epsilon, found.clean) == judged.labels
    drop = accuracy_change(attacked, clean, name="robustness drop", groups=judged.groups, seed=seed)
    drop = Measure.from_json({**drop.as_json(), "scale": "percent"})
    noisy = {level: answers == judged.labels for level, answers in found.noise.items()}
    changed = {
        f"{level:g}": changed_answers(clean, right, groups=judged.groups, seed=seed).as_json()
        for level, right in noisy.items()
    }
    return {
        "attack_epsilon": settings.attack_epsilon,
        "clean_accuracy": _share(clean, judged, "clean accuracy"),
        "adversarial_accuracy": _share(attacked, judged, "adversarial accuracy"),
        "robustness_drop": drop.as_json(),
        **{
            noise_name(level): _share(right, judged, f"accuracy with noise {level:g}") for level, right in noisy.items()
        },
        "changed_by_noise": changed,
    }


def _curves(found: DisturbedAnswers, judged: JudgedImages, settings: RobustnessSettings) -> dict[str, Any]:
    clean = found.clean == judged.labels
    whole, none = _share(clean, judged, "accuracy"), _success(clean, clean)
    attacks: list[dict[str, Any]] = [
        {"epsilon": 0.0, "fgsm": whole, "pgd": whole, "random": whole, "fgsm_success": none, "pgd_success": none}
    ]
    for epsilon in settings.epsilons:
        fgsm, withstood = found.fgsm[epsilon] == judged.labels, found.withstood["inf", epsilon]
        attacks.append(
            {
                "epsilon": epsilon,
                "fgsm": _share(fgsm, judged, "accuracy, one step"),
                "pgd": _share(withstood, judged, f"robust accuracy, {settings.attack_steps} steps"),
                "random": _share(found.random[epsilon] == judged.labels, judged, "accuracy, changed by chance"),
                "fgsm_success": _success(clean, fgsm),
                "pgd_success": _success(clean, withstood),
            }
        )
    lengths = [
        {
            "length": length,
            "pgd": _share(withstood, judged, "robust accuracy"),
            "pgd_success": _success(clean, withstood),
        }
        for (norm, length), withstood in found.withstood.items()
        if norm == "2"
    ]
    return {"attacks": attacks, "attacks_by_length": lengths}


def _success(clean: Bool[np.ndarray, "N"], still: Bool[np.ndarray, "N"]) -> dict[str, Any]:
    """Over those that were right: the others cannot be misled."""
    misled = wilson(int((clean & ~still).sum()), int(clean.sum()), name="misled, of those it had right")
    return misled.as_json()


def _corrupted(
    found: DisturbedAnswers,
    judged: JudgedImages,
    settings: RobustnessSettings,
    seed: int,
    reference: tuple[str, Mapping[str, float]] | None,
) -> dict[str, Any]:
    if not found.corrupted:
        return {"corruptions": {}, "corruption_errors": None}
    clean = found.clean == judged.labels
    right = {name: answers == judged.labels for name, answers in found.corrupted.items()}
    errors = corruption_errors(
        clean, right, reference=reference[1] if reference else None, reference_name=reference[0] if reference else "",
        groups=judged.groups, seed=seed,
    )  # fmt: skip
    table = {
        name: {
            str(severity): _share(row, judged, f"accuracy, {name} {severity}")
            for severity, row in zip(settings.corruption_severities, rows, strict=True)
        }
        for name, rows in right.items()
    }
    return {"corruptions": table, "corruption_errors": errors.as_json()}


def gradient_check(found: DisturbedAnswers, judged: JudgedImages) -> dict[str, Any]:
    """Signs that gradients are hidden, so that the attacks say less than they seem to.

    Source: the checks of AutoAttack (F. Croce and M. Hein 2020, arXiv:2003.01690), and N. Carlini et al. (2019), On
    Evaluating Adversarial Robustness, arXiv:1902.06705.
    """
    clean = found.clean == judged.labels
    better, by_chance = [], []
    for epsilon, answers in found.fgsm.items():
        fooled = clean & (answers != judged.labels)
        better.append(int((fooled & found.withstood["inf", epsilon]).sum()))
        of_chance = clean & (found.random[epsilon] != judged.labels)
        by_chance.append(bool(of_chance.sum() >= fooled.sum() and of_chance.sum() > 0))
    last = max(found.fgsm, default=None)
    return {
        "images_without_gradient": int(found.without_gradient.sum()),
        "one_step_succeeded_where_many_failed": max(better, default=0),
        "chance_misleads_as_often": bool(by_chance) and all(by_chance),
        "nothing_misled": last is not None
        and bool(clean.any())
        and bool((found.withstood["inf", last] == clean).all()),
    }


def _examples(found: DisturbedAnswers, judged: JudgedImages) -> list[dict[str, Any]]:
    home = ImageHome.of(judged.rows)
    return [
        {
            "path": home.without(judged.paths[each.place]),
            "label": judged.classes[int(judged.labels[each.place])],
            "predicted": judged.classes[each.answer],
            "probability": each.probability,
            "epsilon": each.epsilon,
        }
        for each in found.examples
    ]
