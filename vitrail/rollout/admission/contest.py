"""A candidate, the version that it may replace, and what both say of the same images."""

import functools
from dataclasses import dataclass

from vitrail.basics.events import Emit, nobody
from vitrail.basics.seeds import derived_seed
from vitrail.evaluation.before_after import before_after_section
from vitrail.evaluation.comparison import Candidate, Common, ComparisonSettings, common_images, comparison_section
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.section import Section
from vitrail.evaluation.shift import shift_section
from vitrail.evaluation.subject import NotJudged, Subject
from vitrail.measures.replacement import Changes, changes
from vitrail.prediction.likeness import trained_count
from vitrail.prediction.predictor import Predictor
from vitrail.rollout.admission.policy import AdmissionPolicy


@dataclass(frozen=True)
class Contender:
    """One of both.

    Attributes:
        id: `flowers@7`.
        predictor: ready for use.
        judged: what it said of the images.
    """

    id: str
    predictor: Predictor
    judged: JudgedImages


@dataclass(frozen=True)
class Contest:
    """What is judged.

    Attributes:
        candidate: that wants to be admitted.
        stable: that it may replace; None: it is the first of its name.
        policy: the bounds.
        workers: processes that decode images.
        emit: receives progress.
    """

    candidate: Contender
    stable: Contender | None
    policy: AdmissionPolicy
    workers: int = 0
    emit: Emit = nobody

    @functools.cached_property
    def common(self) -> Common | None:
        """The images that both answered; None without a predecessor."""
        return None if self.stable is None else common_images(self.stable.judged, self.candidate.judged)

    @functools.cached_property
    def changes(self) -> Changes | None:
        """What changes where the candidate takes the place of the stable version."""
        if self.common is None:
            return None
        seed = derived_seed(self.policy.seed, "compare")
        return changes(self.common.before, self.common.after, groups=self.common.judged.groups, seed=seed)

    @functools.cached_property
    def comparison(self) -> Section | None:
        """The section that `vitrail compare` makes of both."""
        if self.stable is None:
            return None
        settings = ComparisonSettings(
            margin=self.policy.margin, attributes=self.policy.attributes, seed=self.policy.seed
        )
        return comparison_section(_compared("A", self.stable), _compared("B", self.candidate), settings)

    @functools.cached_property
    def before_after(self) -> Section | None:
        """How far groups lie apart with either; None without a predecessor, or groups."""
        if self.stable is None or self.stable.judged.classes != self.candidate.judged.classes:
            return None
        both = self.stable.judged, self.candidate.judged
        return before_after_section(*both, attributes=self.policy.attributes, seed=self.policy.seed)

    @functools.cached_property
    def shift(self) -> Section | str:
        """How the images differ from those that the candidate knows; or why nobody can say."""
        try:
            return shift_section(self.subject())
        except NotJudged as reason:
            return str(reason)

    @property
    def stable_id(self) -> str:
        """What the stable version is called."""
        return "nothing" if self.stable is None else self.stable.id

    def subject(self, contender: Contender | None = None) -> Subject:
        """What an evaluation takes."""
        one = contender or self.candidate
        return Subject(one.judged, one.predictor, self.policy.seed, self.workers, self.emit)


def _compared(letter: str, one: Contender) -> Candidate:
    known = trained_count(one.predictor.package, one.judged.ids)
    tone = one.predictor.preprocessing.tone
    return Candidate(f"{letter}: {one.id}", one.judged, None, tone, known)
