"""What a look at the service brings: counts of both arms, pairs, users, and whether models and database are there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from vitrail.rollout.kept_json import read_again

ModelState = Literal["ready", "loading", "down"]


@dataclass(frozen=True)
class ArmCounts:
    """What came of asking an arm since the routes of this phase are in force; only ever grows within a phase.

    Attributes:
        requests: how often it was asked.
        failures: of these, in vain.
        times: its answers, how many by bucket (`monitoring.latency.bucket_of`).
        judged: truths that came about its answers.
        wrong: of these, the answer was another.
    """

    requests: int = 0
    failures: int = 0
    times: Mapping[int, int] = field(default_factory=dict)
    judged: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class ClassPairs:
    """Images that both models answered, of one class.

    Attributes:
        pairs: for which the stable model answered this class.
        agree: of these, the candidate did as well.
        judged: whose truth is this class.
        fixed: of these, only the candidate is right.
        broken: only the stable model is.
    """

    pairs: int = 0
    agree: int = 0
    judged: int = 0
    fixed: int = 0
    broken: int = 0


@dataclass(frozen=True)
class Pairs:
    """Images that both models answered, each user image once.

    Attributes:
        pairs: how many.
        agree: to which both gave the same answer.
        judged: whose truth is known.
        fixed: of these, only the candidate is right.
        broken: only the stable model is.
        by_class: all classes of the model, also those without pairs.
    """

    pairs: int = 0
    agree: int = 0
    judged: int = 0
    fixed: int = 0
    broken: int = 0
    by_class: Mapping[str, ClassPairs] = field(default_factory=dict)

    @property
    def whole(self) -> ClassPairs:
        """All classes together."""
        return ClassPairs(self.pairs, self.agree, self.judged, self.fixed, self.broken)


@dataclass(frozen=True)
class Exposures:
    """Where users were sent within this phase.

    Attributes:
        candidate: different users (or requests that name none) that came to the candidate.
        control: that came to the control.
        seen_in_two: users that were seen in more than one arm.
    """

    candidate: int
    control: int
    seen_in_two: int = 0


@dataclass(frozen=True)
class ModelHealth:
    """Whether a model is there.

    Attributes:
        state: `ready`; `loading`: also while it is begun anew; `down`: it will not come by itself.
        healthy: whether users can be sent to it.
        why: what there is to say, for a sentence.
        crashes: how often its process ended since the candidate was loaded for this rollout.
        memory_bytes: that its process holds, where both models are compared on one server; None: not known.
        is_new: whether it is loaded for the first time wherever it is not well, as on a server that joins: it has let
            nobody down.
    """

    state: ModelState
    healthy: bool
    why: str = ""
    crashes: int = 0
    memory_bytes: int | None = None
    is_new: bool = False


@dataclass(frozen=True)
class Signal:
    """Something that holds a rollout as long as it is so, and ends by itself.

    Attributes:
        name: `class mix`, `unlike images`.
        sentence: with the numbers.
    """

    name: str
    sentence: str


@dataclass(frozen=True)
class Verification:
    """What came of checking a candidate's package against its hash and the stable model's classes."""

    passed: bool
    sentence: str


@dataclass(frozen=True)
class ForeignRoutes:
    """Routes that somebody else has written meanwhile.

    Attributes:
        revision: their number.
        sentence: who wrote them.
    """

    revision: int
    sentence: str

    @property
    def gate(self) -> str:
        """What a person sets aside by resuming: this revision, and no later one."""
        return f"revision {self.revision}"


@dataclass(frozen=True)
class Evidence:
    """All that a tick looks at.

    Attributes:
        candidate: whether the candidate's model is there.
        stable: whether the model that users would return to is there.
        verification: None: not done yet.
        confirmed: whether every server serves by the routes of this phase.
        unreadable: why figures could not be read at all; None: they could.
        candidate_counts: None: they are missing. Of the shadow while there is only that.
        control_counts: likewise; of the stable arm while there is only a shadow, and of nobody once everybody has the
            candidate.
        pairs: None: there are none to be had.
        exposures: None: nobody counts users.
        signals: those that hold now.
        foreign: routes that somebody else has written, and that are in force; None: there are none.
    """

    candidate: ModelHealth
    stable: ModelHealth
    verification: Verification | None = None
    confirmed: bool = True
    unreadable: str | None = None
    candidate_counts: ArmCounts | None = None
    control_counts: ArmCounts | None = None
    pairs: Pairs | None = None
    exposures: Exposures | None = None
    signals: tuple[Signal, ...] = ()
    foreign: ForeignRoutes | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads again."""
        return _EVIDENCE.dump_python(self, mode="json")

    @classmethod
    def from_json(cls, values: Any) -> "Evidence":
        """The evidence that `as_json` made these values of.

        Raises:
            DamagedError: they are not.
        """
        return read_again(_EVIDENCE, values, what="evidence")


_EVIDENCE = TypeAdapter(Evidence)
