"""Where a rollout stands: all that a tick needs to know of what came before, as one value that can be kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from vitrail.measures.anytime_counts import RateTest, Side
from vitrail.rollout.kept_json import read_again
from vitrail.rollout.plan import Guardrail, RolloutSettings

Phase = Literal["verifying", "loading", "shadow", "stage", "bake", "completed", "rolled back"]
PauseKind = Literal["person", "approval", "inconclusive", "cannot measure", "integrity", "halted"]
OrderKind = Literal["abort", "promote"]
MOST_DECISIONS = 500
"""Decisions that a state remembers; the audit trail keeps all."""

TestName = Literal["failures", "slow answers", "wrong answers", "no more failures", "no more slow answers"]


@dataclass(frozen=True)
class ArmLook:
    """Counts of an arm at a look; `slow` are answers above the time that the state names."""

    requests: int = 0
    failures: int = 0
    answered: int = 0
    slow: int = 0
    judged: int = 0
    wrong: int = 0

    def since(self, before: "ArmLook") -> "ArmLook":
        """What came since."""
        return ArmLook(*(getattr(self, name) - getattr(before, name) for name in ARM_NUMBERS))

    def plus(self, more: "ArmLook") -> "ArmLook":
        """Both together."""
        return ArmLook(*(getattr(self, name) + getattr(more, name) for name in ARM_NUMBERS))


ARM_NUMBERS = ("requests", "failures", "answered", "slow", "judged", "wrong")


@dataclass(frozen=True)
class Look:
    """Counts of candidate and control at the same moment."""

    candidate: ArmLook = ArmLook()
    control: ArmLook = ArmLook()

    def since(self, before: "Look") -> "Look":
        """What came since."""
        return Look(self.candidate.since(before.candidate), self.control.since(before.control))


@dataclass(frozen=True)
class Pause:
    """Why a rollout waits for somebody; it goes on measuring, and may still be stopped.

    Attributes:
        kind: `halted`: users should return but the stable model is not well.
        gate: which check asked for it.
        sentence: with the numbers.
    """

    kind: PauseKind
    gate: str
    sentence: str


@dataclass(frozen=True)
class Order:
    """What a person wants.

    Attributes:
        kind: `abort`, or `promote`: go on to the next stage although it is inconclusive or not long enough.
        by: who.
        why: in their words.
    """

    kind: OrderKind
    by: str
    why: str = ""


@dataclass(frozen=True)
class DecisionRecord:
    """A decision, for people.

    Attributes:
        at: wall clock, seconds since 1970.
        where: title of the phase in which it was taken.
        outcome: `advance`, `abort`, `pause`, …
        sentences: why.
    """

    at: float
    where: str
    outcome: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class RolloutState:
    """Where a rollout stands.

    Attributes:
        phase: see `Phase`; a pause is no phase.
        stage: number of the stage from 0; that which came last where there is none.
        since: wall clock at the phase's beginning, for people.
        counting_since: wall clock when all servers had confirmed the phase's routes: figures count from there; None:
            they have not yet.
        seconds: how long the phase lasts, elapsed since then as a steady clock tells.
        seconds_granted: by which a person prolonged it.
        quiet_seconds: since both arms had new requests.
        looks: how often both had, after the warm-up.
        warm: counts at the end of the warm-up; None: it lasts.
        looked: counts at the last look.
        came: of these, what came since the look before; nothing where it could not be told.
        unwell_seconds: for how long the candidate is not well, since a look first saw it so; None: it is well.
        slow_seconds: what is called slow, by the control's 95th percentile in the warm-up; None: not known.
        reference: what the control did in all compared stages.
        tests: by name.
        unmeasured: failed checks one after another.
        pause: None: it is not paused.
        condemned: why users should return, while the stable model is not well.
        order: what a person wants, until the next tick.
        accepted: checks that a person has set aside for this phase.
        waiting: why it does not go on now.
        decisions: so far.
        result: None while it goes on; `rejected`, `canary_failed`, `rollout_failed_at_STAGE`, `success`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    phase: Phase = "verifying"
    stage: int = 0
    since: float = 0.0
    counting_since: float | None = None
    seconds: float = 0.0
    seconds_granted: float = 0.0
    quiet_seconds: float = 0.0
    looks: int = 0
    warm: Look | None = None
    looked: Look = Look()
    came: Look = Look()
    unwell_seconds: float | None = None
    slow_seconds: float | None = None
    reference: ArmLook = ArmLook()
    tests: Mapping[TestName, RateTest] = field(default_factory=dict)
    unmeasured: int = 0
    pause: Pause | None = None
    condemned: str | None = None
    order: Order | None = None
    accepted: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    decisions: tuple[DecisionRecord, ...] = ()
    result: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.result is not None

    @property
    def measured(self) -> Look:
        """Counts since the warm-up of this phase; of nothing while it lasts."""
        return Look() if self.warm is None else self.looked.since(self.warm)

    def as_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads again."""
        return _STATES.dump_python(self, mode="json")

    @classmethod
    def from_json(cls, values: Any) -> "RolloutState":
        """The state that `as_json` made these values of.

        Raises:
            DamagedError: they are not.
        """
        return read_again(_STATES, values, what="state")


_STATES = TypeAdapter(RolloutState)

TESTS: dict[TestName, tuple[Guardrail, Side]] = {
    "failures": ("failures", "above"),
    "slow answers": ("slow answers", "above"),
    "wrong answers": ("wrong answers", "above"),
    "no more failures": ("failures", "below"),
    "no more slow answers": ("slow answers", "below"),
}
"""By test, the guardrail that it belongs to and what it shows."""


def begun_state(plan: RolloutSettings, *, wall: float) -> RolloutState:
    """The state of a rollout that begins now."""
    rules = plan.guardrails
    margins: dict[TestName, float] = {
        "failures": rules.failure_margin, "slow answers": rules.slow_margin, "wrong answers": rules.wrong_margin,
        "no more failures": rules.proof_failure_margin, "no more slow answers": rules.proof_slow_margin,
    }  # fmt: skip
    tests = {
        name: RateTest.begun(margin=margins[name], side=side, runs=plan.runs if side == "above" else 1)
        for name, (guardrail, side) in TESTS.items()
        if plan.alpha_of(guardrail) > 0
    }
    return RolloutState(since=wall, tests=tests)


def title_of(plan: RolloutSettings, state: RolloutState) -> str:
    """What a phase is called in sentences and results: `shadow`, `canary`, `stage 25`, `bake`."""
    if state.phase != "stage":
        return state.phase
    return "canary" if state.stage == 0 else f"stage {plan.stages[state.stage].name}"


def next_phase(state: RolloutState, phase: Phase, *, stage: int, wall: float) -> RolloutState:
    """The state at the beginning of a phase: tests go on; what was counted, granted and accepted is forgotten."""
    fresh = RolloutState(phase=phase, stage=stage, since=wall)
    kept = {name: getattr(state, name) for name in ("tests", "reference", "decisions", "result")}
    return replace(fresh, **kept)
