"""Are the judged images like those that the model was trained and checked on? As a section of a report."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vitrail.basics.errors import PackageError
from vitrail.data.columns import ImageHome
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.evaluation.subject import NotJudged, Subject
from vitrail.evaluation.thumbnails import picture_or_none
from vitrail.measures.stream_test import StreamTest
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.pages.numbers import p_value
from vitrail.prediction.answers import Prediction
from vitrail.prediction.shift_verdict import GatheredImages, ShiftSettings, ShiftVerdict, as_figures, judged_shift
from vitrail.prediction.unusual_images import UnusualImage

__all__ = ["ShiftSettings", "section_of_shift", "shift_section"]


def shift_section(subject: Subject, settings: ShiftSettings | None = None) -> Section:
    """Whether the judged images are shifted against those that the package knows, and which are the most unusual.

    Images of one group (a patient) count as one piece of evidence.

    Raises:
        NotJudged: there is no model, its package has no reference that can be used, or no features were kept.
    """
    settings, judged = settings or ShiftSettings(), subject.judged
    try:
        reference = subject.needed_predictor().needed_reference()
    except PackageError as error:
        raise NotJudged(f"{_reason(error)}; {error.hint}") from None
    if judged.features is None:
        raise NotJudged("the features of these images were not kept, only answers")
    known = subject.trained_on()
    gathered = GatheredImages.of(reference, judged.features, judged.most_probable, judged.groups, known)
    verdict = judged_shift(reference, gathered, settings, classes=judged.classes, seed=subject.seed)
    unusual = [_unusual(judged, reference, row) for row in verdict.most_unusual]
    tone = subject.needed_predictor().preprocessing.tone
    home = ImageHome.of(judged.rows)
    return section_of_shift(
        verdict, unusual, home=home, picture=lambda each: picture_or_none(judged.paths[each.row], judged.ids[each.row],
                                                                          tone=tone),
    )  # fmt: skip


def section_of_shift(
    verdict: ShiftVerdict,
    unusual: Sequence[UnusualImage],
    *,
    home: ImageHome,
    picture: Callable[[UnusualImage], str | None],
    stream: StreamTest | None = None,
) -> Section:
    """The section of a verdict.

    Args:
        verdict: see there.
        unusual: the most unusual images, the farthest first.
        home: folders that are left out of the paths.
        picture: from one of them to its small picture, as a `data:` address; None where there is none.
        stream: the test over all images so far, where one is kept.
    """
    figures: dict[str, Any] = {
        **as_figures(verdict),
        "unusual_images": [
            {
                "path": home.without(each.prediction.path),
                "row": each.row,
                "distance": each.distance,
                "likeness": each.prediction.likeness,
                "answer": each.prediction.label,
                "probability": each.prediction.probability,
            }
            for each in unusual
        ],
    }
    if stream is not None:
        figures["stream"] = stream_figures(stream)

    def drawn(_: Figures) -> dict[str, Any]:
        return {"pictures": [picture(each) for each in unusual]}

    return Section(
        "shift",
        1,
        "Whether these images are like the known ones",
        figures,
        sentences=shift_sentences(verdict, stream),
        template="sections/shift.html",
        draw=drawn,
    )


def shift_sentences(verdict: ShiftVerdict, stream: StreamTest | None = None) -> list[Sentence]:
    """What to say of it, the verdict first."""
    said = {
        "shifted": "As a whole these images are not like those that the model was trained and checked on",
        "not shifted": "No sign that these images as a whole differ from those that the model was checked on",
        "not enough images": "Not enough images to say whether they differ as a whole",
    }[verdict.decision]
    sentences = [Sentence(f"{said}: {verdict.why}.", verdict.decision)]
    if verdict.trained_on and verdict.images:
        sentences.append(
            Sentence(
                f"{verdict.trained_on:,} of {verdict.trained_on + verdict.images:,} images it was trained on: they are "
                "known, lie nearer than new ones do, and have no part in this."
            )
        )
    share = verdict.unusual
    if share.value is not None:
        sentences.append(
            Sentence(
                f"{round(share.value * share.n):,} of {share.n:,} images lie farther from their class than 95 % "
                f"of held-out images do: {share.text()}, where 5 % are expected."
            )
        )
    mix = verdict.class_mix
    if mix.p_value is not None and mix.p_value < 0.05:
        sentences.append(
            Sentence(
                f"Other answers are given than about held-out images ({mix.effect:.0%} of them would have to "
                f"change; {p_value(mix.p_value)}): another mix of classes, or mistakes. That alone is no shift "
                "of the images."
            )
        )
    return sentences if stream is None else [*sentences, _stream_sentence(stream)]


def _stream_sentence(stream: StreamTest) -> Sentence:
    seen = f"{stream.seen:,} image{'' if stream.seen == 1 else 's'} since the stream began"
    if stream.alarm():
        return Sentence(
            f"The stream has changed: over {seen}, the evidence is stronger than 19 of 20 unchanged streams ever show "
            f"({p_value(stream.p_value)}, after {stream.highest_at:,} images).", "shifted",
        )  # fmt: skip
    return Sentence(
        f"The stream shows no change so far, over {seen} ({p_value(stream.p_value)}; it may be looked at at any "
        "time).", "not shifted",
    )  # fmt: skip


def stream_figures(stream: StreamTest) -> dict[str, Any]:
    """Plain JSON values of the test over all images so far."""
    return {
        "alarm": stream.alarm(), "images": stream.seen, "p_value": stream.p_value,
        "strongest_after_images": stream.highest_at,
    }  # fmt: skip


def _unusual(judged: JudgedImages, reference: ShiftReference, row: int) -> UnusualImage:
    from_features = reference.distances.squared(judged.features[row : row + 1]) ** 0.5 if judged.features is not None \
        else np.zeros(1)  # fmt: skip
    best = int(judged.predicted[row])
    likeness = float((1 + (reference.scores >= from_features[0]).sum()) / (reference.held_out + 1))
    sure = float(judged.probabilities[row, best])
    answer = Prediction(judged.paths[row], judged.classes[best], sure, {}, judged.ids[row], likeness)
    return UnusualImage(row, float(from_features[0]), answer)


def _reason(error: PackageError) -> str:
    return error.message.partition(": ")[2] or error.message
