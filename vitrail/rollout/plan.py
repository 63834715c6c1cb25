"""What can be set for a rollout: its stages, what stops it, and what it may go on without."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000)]
Guardrail = Literal["failures", "slow answers", "wrong answers", "shadow answers", "bake failures"]
Missing = Literal["truth", "users", "latency"]


_ALPHA_PARTS: dict[Guardrail, Share] = {
    "failures": 0.4, "slow answers": 0.2, "wrong answers": 0.15, "shadow answers": 0.15, "bake failures": 0.1
}  # fmt: skip


class Stage(Settings):
    """A share of all users, and how long it lasts at least; what is None is that of all stages."""

    name: str = Field(pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
    """Is told in results: `rollout_failed_at_NAME`."""
    percent: float = Field(gt=0, le=100)
    """Of all users; up to 50, because as many are the control, or 100: everybody."""
    least_seconds: Seconds | None = None
    """The stage is not over before."""
    least_requests: int | None = Field(default=None, ge=1)
    """The stage is not over before each arm was asked so often, warm-up not counted."""
    most_seconds: Seconds | None = None
    """If it has not passed by then, a person is asked."""
    ask_before: bool = False
    """Whether a person must agree before it begins."""


DEFAULT_STAGES = tuple(
    Stage(name=name, percent=percent)
    for name, percent in (("canary", 5.0), ("10", 10.0), ("25", 25.0), ("50", 50.0), ("100", 100.0))
)
"""Those of the article's ModelUpdateManager, after its canary of 5 %."""


class StageDefaults(Settings):
    """What holds for every stage that does not say otherwise."""

    least_stage_seconds: Seconds = 600.0
    """A stage is not over before."""
    least_stage_requests: int = Field(default=200, ge=1)
    """A stage is not over before each of both arms was asked so often."""
    least_looks: int = Field(default=5, ge=1)
    """A stage is not over before new figures of both arms came so often."""
    most_stage_seconds: Seconds = 86_400.0
    """A stage that has not passed by then is inconclusive: it pauses for a person, and never goes on by itself."""
    warm_up_seconds: Seconds = 30.0
    """At the beginning of each stage, when nothing but hard limits is judged."""
    bake_seconds: Seconds = 1800.0
    """After everybody has the candidate, before the rollout is complete."""
    most_loading_seconds: Seconds = 600.0
    """A candidate that does not answer by then is rejected."""


class GuardrailSettings(Settings):
    """Sequential tests against the control beside it; each may be looked at as often as one likes."""

    alpha: float = Field(default=0.05, gt=0, lt=1)
    """The chance, over a whole rollout and all guardrails together, to stop a candidate that is as good."""
    alpha_parts: dict[Guardrail, Share] = Field(default=_ALPHA_PARTS)
    """How that chance is divided; what is not named is not tested."""
    failure_margin: float = Field(default=0.002, ge=0, lt=1)
    """By so much more often may the candidate fail."""
    slow_margin: float = Field(default=0.05, ge=0, lt=1)
    """By so much more often may it be slower than the control's 95th percentile, which the control itself is at 5 %."""
    wrong_margin: float = Field(default=0.02, ge=0, lt=1)
    """By so much more often may it be wrong, where users tell the truth."""
    proof_alpha: float = Field(default=0.05, gt=0, lt=1)
    """The chance to call a candidate not worse although it is worse by the margins below."""
    proof_failure_margin: float = Field(default=0.01, gt=0, lt=1)
    """Before everybody has it, it must be shown that the candidate does not fail so much more often."""
    proof_slow_margin: float = Field(default=0.15, gt=0, lt=1)
    """Before everybody has it, it must be shown that it is not slow so much more often."""
    suspicious_below: float = Field(default=0.2, gt=0, lt=1)
    """A p-value below this is no reason to stop, and none to go on either: the stage is prolonged."""


class ShadowSettings(Settings):
    """Copies of requests that the candidate answers and nobody sees: where quality is judged, pair by pair."""

    shadow_share: Share = 0.2
    """Of all requests; 0: no shadow."""
    least_pairs: int = Field(default=300, ge=1)
    """Images that both have answered."""
    least_shadow_seconds: Seconds = 300.0
    """The shadow is not over before."""
    most_shadow_seconds: Seconds = 86_400.0
    """A shadow that has not passed by then is inconclusive."""
    quality_margin: float = Field(default=0.02, gt=0, lt=1)
    """So much accuracy may the candidate lose: where truths come, that it does not must be shown."""
    quality_alpha: float = Field(default=0.05, gt=0, lt=1)
    """The chance to let a candidate through that loses more."""
    class_margin: float = Field(default=0.1, gt=0, lt=1)
    """So much accuracy may it lose on a class, where truths come."""
    least_agreement: float = Field(default=0.6, gt=0, lt=1)
    """So often must the candidate answer as the stable model does."""
    least_class_agreement: float = Field(default=0.3, gt=0, lt=1)
    """So often must it agree where the stable model names a class."""


class LimitSettings(Settings):
    """What ends a rollout at once, without a comparison, and what pauses it."""

    most_failure_share: float = Field(default=0.2, gt=0, le=1)
    """Of the candidate's requests in a stage, or since the last look."""
    least_limit_failures: int = Field(default=10, ge=1)
    """From so many failures on."""
    most_unwell_seconds: Seconds = 60.0
    """A candidate that is not well for so long (begun anew again and again, left alone by its breaker) is stopped."""
    most_p99_seconds: float | None = Field(default=None, gt=0)
    """Where one of 100 answers of the candidate takes longer; None: no limit."""
    most_crashes: int = Field(default=2, ge=1)
    """So often its process ended since it was loaded for this rollout."""
    most_memory_ratio: float | None = Field(default=3.0, gt=1)
    """The candidate's process may take so many times the memory of the stable model's on the same server; None: any."""
    no_data_seconds: Seconds = 300.0
    """No new request of either arm for so long is a failed check."""
    most_unmeasured: int = Field(default=4, ge=1)
    """So many failed checks one after another pause the rollout."""
    most_seen_in_two: Share = 0.01
    """Of all users, seen in more than one arm within a stage: above it the comparison means nothing."""
    may_be_missing: tuple[Missing, ...] = ("truth", "users")
    """What a rollout goes on without."""


class RolloutSettings(Settings):
    """What can be set for a rollout; `RolloutSettings.gather` takes all of it by its own names."""

    stages: tuple[Stage, ...] = Field(default=DEFAULT_STAGES, min_length=1, max_length=20)
    """In order: the first is the canary, the last for everybody. Percentages by name will do: {canary: 5, all: 100}."""
    look_seconds: float = Field(default=5.0, ge=0.1, le=300)
    """From one look at the servers to the next; what a person orders is obeyed within a second."""
    needs_signature: bool = False
    """Whether a version is rolled out only where a named person has signed for it."""
    timing: StageDefaults = StageDefaults()
    """How long stages last."""
    guardrails: GuardrailSettings = GuardrailSettings()
    """What is tested."""
    shadow: ShadowSettings = ShadowSettings()
    """How quality is judged before anybody sees an answer."""
    limits: LimitSettings = LimitSettings()
    """What ends or pauses it at once."""

    @field_validator("stages", mode="before")
    @classmethod
    def _stages_by_name(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        stages = [{"name": str(name), "percent": percent} for name, percent in given.items()]
        if all(isinstance(each, int | float) for each in given.values()):  # a mapping has no order of its own
            stages.sort(key=lambda stage: stage["percent"])
        return tuple(stages)

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> "RolloutSettings":
        percents = [stage.percent for stage in self.stages]
        names = [stage.name for stage in self.stages]
        shown = ", ".join(f"{stage.name} {stage.percent:g} %" for stage in self.stages)
        if percents != sorted(set(percents)) or percents[-1] != 100 or len(set(names)) < len(names):
            raise InputError(
                f"the stages of a rollout are {shown}",
                hint="percentages grow, the last is 100, and each stage has its own name",
            )
        if any(50 < percent < 100 for percent in percents):
            raise InputError(
                f"the stages of a rollout are {shown}",
                hint="up to 50, because as many users are the control, and then 100",
            )
        if len(percents) < 2:
            raise InputError(
                "a rollout whose only stage is for everybody compares nothing",
                hint="give it a canary first, e.g. canary: 5",
            )
        _refuse_no_gate(self.guardrails)
        return self

    @property
    def compared_stages(self) -> int:
        """How many stages have a control: all but the last."""
        return len(self.stages) - 1

    @property
    def runs(self) -> int:
        """How often the guardrails begin afresh: with the shadow, if there is one, and with each compared stage."""
        return self.compared_stages + (self.shadow.shadow_share > 0)

    def alpha_of(self, guardrail: Guardrail) -> float:
        """The chance that a guardrail may stop a candidate that is as good; 0: it is not tested."""
        return self.guardrails.alpha * self.guardrails.alpha_parts.get(guardrail, 0.0)


def _refuse_no_gate(guardrails: GuardrailSettings) -> None:
    total = sum(guardrails.alpha_parts.values())
    if guardrails.alpha_parts.get("failures", 0.0) <= 0:
        raise InputError(
            "a rollout without a guardrail on failures would let everything pass",
            hint="give `failures` a part of alpha, e.g. 0.4",
        )
    if total > 1 + 1e-9:
        raise InputError(f"the parts of alpha add up to {total:g}", hint="1 at most")
