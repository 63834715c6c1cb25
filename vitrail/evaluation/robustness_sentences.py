"""What the figures of robustness mean, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from vitrail.evaluation.section import Sentence
from vitrail.measures.intervals import Measure
from vitrail.measures.paired import Decision
from vitrail.pages.numbers import percent, split_name, words


def robustness_sentences(figures: Mapping[str, Any]) -> list[Sentence]:
    """Verdicts first; then on what and how it was measured, and what must be known about it."""
    return [
        *_attack_verdict(figures),
        *_noise_verdict(figures),
        *_corruption_words(figures),
        *map(Sentence, _gradient_words(figures["gradient_check"], figures["steps"])),
        *map(Sentence, _sample_words(figures)),
    ]


def grey_levels(epsilon: float | int) -> str:
    """A change on the scale 0-1 in grey levels of 255.

    >>> grey_levels(4 / 255), grey_levels(0.1)
    ('4', '25.5')
    """
    return f"{255 * epsilon:.3g}"


def _attack_verdict(figures: Mapping[str, Any]) -> Iterator[Sentence]:
    """The smallest change that misleads the model about half of what it had right, or the largest that was tried."""
    tried = [each for each in figures["attacks"] if each["epsilon"] > 0 and each["pgd_success"]["value"] is not None]
    if not tried:
        return
    told = next((each for each in tried if each["pgd_success"]["value"] >= 0.5), tried[-1])
    success = Measure.from_json(told["pgd_success"])
    change = f"{grey_levels(told['epsilon'])} of 255 grey levels"
    if not success.value:
        text = f"No attack misled it, not even with changes of up to {change}, about any of {success.n:,} images"
        yield Sentence(text, "better" if not _is_suspicious(figures["gradient_check"]) else "not enough evidence")
        return
    text = f"Changes of at most {change} per pixel, made to mislead it, do so for {success.text()} of what it had right"
    yield Sentence(text, "worse")


def _noise_verdict(figures: Mapping[str, Any]) -> Iterator[Sentence]:
    changed = figures["changed_by_noise"]
    if not changed:
        return
    harmful = [level for level, each in changed.items() if each["decision"] == "worse"]
    level = harmful[0] if harmful else list(changed)[-1]
    found = changed[level]
    mended, broken, decision = found["mended"], found["broken"], found["decision"]
    of = f"{mended:,} of {found['n']:,} answers become right and {broken:,} wrong"
    verdict: Decision = decision
    if decision == "worse":
        yield Sentence(f"With noise of {level}, {of}: fewer are right", verdict)
    elif decision == "better":
        yield Sentence(f"With noise of {level}, {of}: more are right", verdict)
    else:
        yield Sentence(f"Not enough evidence that noise of up to {level} harms: {of}", verdict)


def _corruption_words(figures: Mapping[str, Any]) -> Iterator[Sentence]:
    errors = figures["corruption_errors"]
    if errors is None:
        return
    order = sorted(errors["by_corruption"], key=lambda name: -errors["by_corruption"][name])
    mean = Measure.from_json(errors["mean_accuracy"])
    right = [f"{words(name)} ({percent(1 - errors['by_corruption'][name])})" for name in (order[0], order[-1])]
    severities = figures["severities"]
    over = f"severities {severities[0]} to {severities[-1]}" if len(severities) > 1 else f"severity {severities[0]}"
    yield Sentence(
        f"Over {len(order)} common corruptions and {over} it is right about {mean.text()}; least with {right[0]}, most "
        f"with {right[1]}."
    )
    if errors["mean_corruption_error"] is not None:
        against = Measure.from_json(errors["mean_corruption_error"])
        compared = f"over {len(errors['compared'])} corruptions that both were measured on"
        yield Sentence(
            f"Mean corruption error against {errors['reference']}: {against.text()}, {compared}; below 1 is better "
            "than the reference, whose own uncertainty is not known."
        )


def _is_suspicious(check: Mapping[str, Any]) -> bool:
    return bool(check["images_without_gradient"] or check["chance_misleads_as_often"] or check["nothing_misled"])


def _gradient_words(check: Mapping[str, Any], steps: int) -> Iterator[str]:
    hidden = "the attacks say less than they seem to, and nothing follows about other attacks"
    if check["images_without_gradient"]:
        yield (
            f"The gradient is 0, or no number, for {check['images_without_gradient']:,} images: there an attack has "
            f"nothing to go by; {hidden}."
        )
    if check["chance_misleads_as_often"]:
        yield f"Changes by chance mislead it as often as those along the gradient: {hidden}."
    elif check["nothing_misled"]:
        yield f"No attack succeeded even with the largest change, which is rare in networks: {hidden}."
    if check["one_step_succeeded_where_many_failed"]:
        yield (
            f"For up to {check['one_step_succeeded_where_many_failed']:,} images one step succeeded where {steps} "
            "small ones failed: the curve of small steps is a little too high."
        )


def _sample_words(figures: Mapping[str, Any]) -> Iterator[str]:
    measured_on = split_name(figures["measured_on"])
    yield (
        f"Tried on all {figures['n']:,} {measured_on} images."
        if figures["n"] == figures["of"]
        else f"Tried on {figures['n']:,} of {figures['of']:,} {measured_on} images, evenly from every class; more with "
        "robustness_images."
    )
    height, width = figures["image_size"]
    yield (
        f"Pictures are disturbed in the size that the model sees, {width} × {height} pixels, and on the scale from "
        "black (0) to white (1), before anything is normalised; of medical images that is the window that was chosen."
    )
    if figures["corruptions"] and min(height, width) != 224:
        yield (
            f"The severities of corruptions were chosen for 224 pixels; lengths (blur, snow, warping) were scaled by "
            f"{min(height, width) / 224:.2g}. JPEG's blocks have 8 pixels in every size."
        )
    if figures["otherwise_than_judged"]:
        yield (
            f"About {figures['otherwise_than_judged']:,} undisturbed images the model, computed with gradients, says "
            "another class than in the judged answers, which lie within rounding or come from another runtime."
        )
