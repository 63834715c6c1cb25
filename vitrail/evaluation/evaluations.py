"""All evaluations by name, and how they are run one after the other: what one cannot judge does not stop the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.events import Noted
from vitrail.basics.settings import Settings
from vitrail.evaluation.attention import AttentionSettings, attention_section
from vitrail.evaluation.fairness import FairnessSettings, fairness_section
from vitrail.evaluation.judging import Judged, leak_free_accuracy, quality_section
from vitrail.evaluation.quality import judge
from vitrail.evaluation.robustness import robustness_section
from vitrail.evaluation.robustness_settings import RobustnessSettings
from vitrail.evaluation.section import Section, Sentence
from vitrail.evaluation.shift import ShiftSettings, shift_section
from vitrail.evaluation.subject import Evaluation, NotJudged, Subject
from vitrail.evaluation.tta import TtaSettings, tta_section
from vitrail.prediction.runtimes.torch_runtime import EXACT


@dataclass(frozen=True)
class Outcome:
    """What came of evaluations.

    Attributes:
        sections: of those that were judged, in order.
        not_judged: by the name of every other evaluation, why.
    """

    sections: list[Section] = field(default_factory=list)
    not_judged: dict[str, str] = field(default_factory=dict)


def quality_of(subject: Subject, _: Settings | None = None) -> Section:
    """How good the model is on these images, and on those of them that it was not trained on."""
    judged = subject.judged
    images, quality = {judged.measured_on: judged}, {judged.measured_on: judge(judged, seed=subject.seed)}
    trained_on = subject.trained_on()
    leak_free = None if trained_on is None else leak_free_accuracy(judged, ~trained_on, seed=subject.seed)
    fresh = {} if leak_free is None else {judged.measured_on: leak_free}
    return quality_section(Judged(list(judged.classes), images, quality, {}, fresh))


EVALUATIONS: Mapping[str, Evaluation] = {
    "quality": quality_of,
    "robustness": robustness_section,
    "fairness": fairness_section,
    "shift": shift_section,
    "tta": tta_section,
    "attention": attention_section,
}
"""By name, in the order of the report; settings of an evaluation are those of its name in `EvaluationSettings`."""


def asked_evaluations(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of evaluations, each once and in the order of the report.

    Args:
        names: as somebody gives them: `"quality,fairness"`, a list, None for all.

    Raises:
        InputError: there is no such evaluation, or none is named.
    """
    if names is None:
        return tuple(EVALUATIONS)
    asked = [each.strip() for each in (names.split(",") if isinstance(names, str) else names) if each.strip()]
    for name in asked:
        if name not in EVALUATIONS:
            known = ", ".join(EVALUATIONS)
            raise InputError(
                f"there is no evaluation {name!r}; known: {known}", hint=did_you_mean(name, EVALUATIONS) or None
            )
    if not asked:
        raise InputError("no evaluation is named", hint=f"any of {', '.join(EVALUATIONS)}")
    return tuple(name for name in EVALUATIONS if name in asked)


def not_judged_beside(sections: Iterable[str], why: str) -> dict[str, str]:
    """All evaluations that are not among the sections of a report, with the reason.

    >>> list(not_judged_beside(["quality", "model"], "a fit does not"))[:2]
    ['robustness', 'fairness']
    """
    done = set(sections)
    return {name: why for name in EVALUATIONS if name not in done}


class EvaluationSettings(Settings):
    """Settings of an evaluation; `EvaluationSettings.gather` takes those of all parts by their own names."""

    evaluations: Annotated[tuple[str, ...], BeforeValidator(asked_evaluations)] = tuple(EVALUATIONS)
    """What is judged: names of evaluations, e.g. `quality,robustness`."""
    split: Literal["train", "val", "test", "all"] | None = None
    """Which images: `train`, `val`, `test` or `all`; None: the test images where some are marked as such, else the
    validation images, else those that the model was not trained on, else all."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn by lot."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    runtime: str = EXACT.name
    """In which runtime the model answers, as for `load`; attacks and looks inside are always in torch."""
    robustness: RobustnessSettings
    """How hard it is tried by attacks, noise and corruptions."""
    fairness: FairnessSettings
    """Whom it is compared on."""
    shift: ShiftSettings
    """When images count as shifted."""
    tta: TtaSettings
    """Which views are tried, and on how many images."""
    attention: AttentionSettings
    """What is looked at, and on how many images."""


def evaluated(subject: Subject, settings: EvaluationSettings, outcome: Outcome) -> None:
    """Run evaluations, and put into `outcome` what came of each as soon as it is done.

    Whoever is stopped in between finds there what was finished.
    """
    asked = settings.evaluations
    outcome.not_judged.update({name: "it was not asked for" for name in EVALUATIONS if name not in asked})
    outcome.not_judged.update(dict.fromkeys(asked, "it was stopped before that"))
    for name in asked:
        try:
            section = EVALUATIONS[name](subject, getattr(settings, name, None))
        except NotJudged as reason:
            outcome.not_judged[name] = str(reason)
            subject.emit(Noted(f"{name:<8} not judged: {reason}"))
            continue
        del outcome.not_judged[name]
        outcome.sections.append(section)
        for line in _told(section):
            subject.emit(Noted(line))


def _told(section: Section) -> Iterator[str]:
    for number, sentence in enumerate(each for each in section.sentences if each.verdict):
        yield f"{section.name if not number else '':<8} {sentence.text}"


def scope_section(outcome: Outcome, told: Sequence[str]) -> Section:
    """What was judged, on which images, and what was not: nothing that was left out counts as passed."""
    judged = {section.name: "judged" for section in outcome.sections}
    not_judged = {name: f"not judged: {why}" for name, why in outcome.not_judged.items()}
    figures = {name: (judged | not_judged).get(name, "judged") for name in EVALUATIONS}
    return Section("scope", 1, "What was judged, and what was not", figures, list(map(Sentence, told)))
