"""Test-time augmentation: whether answers from several views of an image are better, and what they cost."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from vitrail.basics.events import WorkAdvanced, WorkEnded, WorkStarted
from vitrail.data.checked_files import checked_places
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.sampling import evenly_sampled, usual_number
from vitrail.evaluation.section import Section, Sentence
from vitrail.evaluation.subject import Subject
from vitrail.measures.calibration import expected_calibration_error
from vitrail.measures.changed_answers import changed_answers
from vitrail.measures.intervals import Measure
from vitrail.measures.means import mean, share
from vitrail.measures.paired import compare_losses
from vitrail.pages.numbers import count, p_value, split_name
from vitrail.prediction.answers import Answers, gathered_answers
from vitrail.prediction.several_views import ViewSettings

WORK = "tta"
PARAMETERS, FEWEST, MOST = 6_000_000_000, 200, 2000
"""A processor is given so many parameters: 1,090 images for a ViT-Ti, 272 for a ViT-S; some minutes at 9 views."""

TIMED = 64
"""Images on which answers with and without are timed."""


class TtaSettings(ViewSettings):
    """Which views are tried, and on how many images."""

    tta_images: int | None = Field(default=None, ge=1)
    """How many images, taken evenly from every class; None: 20,000 on an accelerator, on a processor 200 to 2,000,
    fewer the larger the model is."""


def tta_section(subject: Subject, settings: TtaSettings) -> Section:
    """Answers from one view against answers from several, on the same images.

    Raises:
        NotJudged: only a table of answers was given.
        UnreadableImageError: an image went away since it was judged.
    """
    predictor = subject.needed_predictor()
    usual = usual_number(predictor, parameters=PARAMETERS, least=FEWEST, most=MOST)
    before = evenly_sampled(subject.judged, settings.tta_images or usual)
    after, seconds = _with_views(subject, before, settings)
    figures = {
        "measured_on": before.measured_on,
        "n": len(before),
        "of": len(subject.judged),
        "groups": before.group_count,
        "views": len(settings.views),
        "words": settings.words,
        **_compared(before, after, subject.seed),
        **_cost(subject, before, seconds),
    }
    return Section(
        "tta", 1, "Answers from several views", figures, list(_sentences(figures)), "sections/tta.html",
        packaged=("measured_on", "n", "views", "words", "accuracy_before", "accuracy_after", "changed"),
    )  # fmt: skip


def _with_views(subject: Subject, judged: JudgedImages, settings: TtaSettings) -> tuple[JudgedImages, float]:
    """The same images, answered about from several views, and the seconds that took."""
    places, started = checked_places(judged.rows), time.perf_counter()
    predictor = subject.needed_predictor()
    parts = predictor.answers(places, batch_size=16, workers=subject.workers, tta=settings)
    answers = gathered_answers(_watched(parts, subject, len(places)))
    return JudgedImages.of_answers(judged.rows, answers, measured_on=judged.measured_on), time.perf_counter() - started


def _watched(parts: Iterator[Answers], subject: Subject, total: int) -> Iterator[Answers]:
    subject.emit(WorkStarted(WORK, total))
    try:
        for part in parts:
            yield part
            subject.emit(WorkAdvanced(WORK, len(part)))
    finally:
        subject.emit(WorkEnded(WORK))


def _compared(before: JudgedImages, after: JudgedImages, seed: int) -> dict[str, Any]:
    labels, groups = before.labels, before.groups
    right = [each.predicted == labels for each in (before, after)]
    losses = [-np.log(each.probabilities[np.arange(len(labels)), labels].clip(1e-300)) for each in (before, after)]
    calibration = [
        expected_calibration_error(labels, each.probabilities, groups=groups, seed=seed).error.as_json()
        for each in (before, after)
    ]
    return {
        "accuracy_before": share(right[0], name="accuracy, one view", groups=groups).as_json(),
        "accuracy_after": share(right[1], name="accuracy, several views", groups=groups).as_json(),
        "changed": changed_answers(*right, groups=groups, seed=seed).as_json(),
        "log_loss_before": mean(losses[0], name="log loss, one view", groups=groups).as_json(),
        "log_loss_after": mean(losses[1], name="log loss, several views", groups=groups).as_json(),
        "log_loss_compared": compare_losses(*losses, groups=groups, seed=seed).as_json(),
        "calibration_error_before": calibration[0],
        "calibration_error_after": calibration[1],
    }


def _cost(subject: Subject, judged: JudgedImages, seconds: float) -> dict[str, Any]:
    """Images per second with all views, and with one, on the first images: decoding included."""
    places = checked_places(judged.rows)[:TIMED]
    started = time.perf_counter()
    for _ in subject.needed_predictor().answers(places, batch_size=16, workers=subject.workers):
        pass
    alone = len(places) / max(time.perf_counter() - started, 1e-9)
    several = len(judged) / max(seconds, 1e-9)
    return {
        "images_per_second_before": round(alone, 2),
        "images_per_second_after": round(several, 2),
        "times_as_slow": round(alone / several, 2),
    }


def _sentences(figures: Mapping[str, Any]) -> Iterator[Sentence]:
    changed, losses = figures["changed"], figures["log_loss_compared"]
    became = (
        f"{count(changed['mended'])} of {count(changed['n'])} answers become right and {count(changed['broken'])} wrong"
    )
    told = f"{became} ({changed['method']}, {p_value(changed['p_value'])})"
    if changed["decision"] == "not enough evidence":
        yield Sentence(
            f"Not enough evidence that several views change how often it is right: {told}", changed["decision"]
        )
    else:
        more = "more" if changed["decision"] == "better" else "less"
        yield Sentence(f"With several views it is right {more} often: {told}", changed["decision"])
    difference = Measure.from_json(losses["difference"])
    if losses["decision"] == "not enough evidence":
        yield Sentence("Not enough evidence that its probabilities become better or worse", losses["decision"])
    else:
        size = f"{abs(difference.value or 0):.3f} nats"
        lower = "lower" if losses["decision"] == "better" else "higher"
        yield Sentence(
            f"Its probabilities become {losses['decision']}: the log loss is {size} {lower}", losses["decision"]
        )
    yield Sentence(
        f"{figures['words'][0].upper()}{figures['words'][1:]}; their probabilities are averaged. It takes "
        f"{figures['views']} times the work: {figures['images_per_second_after']:g} instead of "
        f"{figures['images_per_second_before']:g} images a second here. To answer so: vitrail predict --tta."
    )
    on = split_name(figures["measured_on"])
    some = (
        f"{count(figures['n'])} of {count(figures['of'])}"
        if figures["n"] < figures["of"]
        else f"all {count(figures['n'])}"
    )
    even = ", evenly from every class; more with tta_images" if figures["n"] < figures["of"] else ""
    yield Sentence(f"Tried on {some} {on} images{even}.")
    if "mirrored" not in figures["words"]:
        yield Sentence(
            "Nothing was mirrored: whether left and right matter is not known; tta_flips mirrors every view."
        )
