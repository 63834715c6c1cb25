"""Rollouts as people read them: how one stands, what one would need, and what one would have decided."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.pages.shown_as_text import ShownAsText
from vitrail.rollout.asked_plan import least_requests, least_seconds
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.replaying import ReplayedDecision
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.sentences import percent, seconds_text
from vitrail.rollout.standing import rollout_standing

_MOST_DECISIONS = 12


@dataclass(frozen=True, repr=False)
class RolloutResult(ShownAsText):
    """A rollout, and where it stands or how it ended.

    Attributes:
        rollout: as its database keeps it.
    """

    rollout: KeptRollout

    @property
    def result(self) -> str | None:
        """`success`, `rejected`, `canary_failed`, `rollout_failed_at_STAGE`; None: it goes on."""
        return self.rollout.state.result

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.rollout.state.is_over

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        kept = self.rollout
        known = {
            "number": kept.number, "version": kept.version, "model": kept.model, "digest": kept.digest,
            "replaces": kept.replaces, "begun_by": kept.begun_by, "begun_at": kept.begun_at, "holder": kept.holder,
            "is_closed": kept.is_closed,
        }  # fmt: skip
        evidence = None if kept.evidence is None else kept.evidence.as_json()
        return {**known, **rollout_standing(kept.plan, kept.state, kept.evidence), "evidence": evidence}

    def lines(self) -> list[str]:
        """Where it stands, why it waits, its figures, and what was decided."""
        kept, standing = self.rollout, rollout_standing(self.rollout.plan, self.rollout.state, self.rollout.evidence)
        where = standing["result"] or standing["title"]
        told = [f"rollout {kept.number}   {kept.version} for {kept.replaces}   {where}"]
        stages = "  ".join(f"{each['name']} {each['percent']:g} %" for each in standing["stages"])
        told += [f"stages   {stages}"]
        if not self.is_over:
            told += [f"lasts    {seconds_text(standing['seconds'])} in {standing['title']}"]
            told += [f"conducts {kept.holder or 'nobody yet: a server that runs takes it up within seconds'}"]
        if standing["paused"] is not None:
            told += [f"paused   ({standing['paused']['kind']}) {standing['paused']['sentence']}"]
        told += [f"waits    {each}" for each in standing["waiting"]]
        told += [f"gate     {each['text']}   {each['verdict']}" for each in standing["gates"]]
        for each in standing["decisions"][-_MOST_DECISIONS:]:
            told += [f"  {_time(each['at'])}  {each['where']}: {each['outcome']}: {'; '.join(each['sentences'])}"]
        return [*told, *self._next()]

    def _next(self) -> list[str]:
        state = self.rollout.state
        if state.is_over:
            return [f"next     vitrail versions {self.rollout.version}"]
        if state.pause is not None and state.pause.kind == "approval":
            return ["next     vitrail rollout promote --why TEXT, or vitrail rollout abort --why TEXT"]
        if state.pause is not None:
            return ["next     vitrail rollout resume --why TEXT, or vitrail rollout abort --why TEXT"]
        return ["next     vitrail rollout status --follow"]


@dataclass(frozen=True, repr=False)
class PlannedRollout(ShownAsText):
    """A rollout that could begin; nothing was changed.

    Attributes:
        version: `flowers@8`.
        replaces: the stable arm that it would get in the end.
        verification: what came of looking at its package.
        plan: of the rollout.
    """

    version: str
    replaces: str
    verification: str
    plan: RolloutSettings

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "version": self.version, "replaces": self.replaces, "verification": self.verification,
            "plan": self.plan.model_dump(mode="json"), "least_seconds": least_seconds(self.plan),
            "least_requests": least_requests(self.plan),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """What would happen, and what it would need."""
        told = [f"{self.version} would replace what answers in {self.replaces}", f"package  {self.verification}"]
        if self.plan.shadow.shadow_share > 0:
            told += [
                f"shadow   copies of {percent(self.plan.shadow.shadow_share)} of all requests; nobody sees answers"
            ]
        for stage in self.plan.stages:
            beside = "everybody" if stage.percent == 100 else "of all users, and as many as control"
            asks = "   asks before" if stage.ask_before else ""
            told += [f"stage    {stage.name}: {stage.percent:g} % {beside}{asks}"]
        needed = ", ".join(f"{name} {n:,}" for name, n in least_requests(self.plan).items())
        return [
            *told,
            f"lasts    {seconds_text(least_seconds(self.plan))} at least",
            f"needs    requests of all users, at least: {needed}; showing that it is not worse may take more",
            f"next     vitrail rollout start {self.version}",
        ]


@dataclass(frozen=True, repr=False)
class ReplayResult(ShownAsText):
    """What a plan would have decided.

    Attributes:
        rollout: that was recorded.
        is_own_plan: whether it is the plan that it was recorded under.
        decisions: in order.
    """

    rollout: KeptRollout
    is_own_plan: bool
    decisions: Sequence[ReplayedDecision]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "number": self.rollout.number, "version": self.rollout.version, "is_own_plan": self.is_own_plan,
            "decisions": [
                {
                    "at": each.at, "seconds": each.seconds, "where": each.place, "outcome": each.outcome,
                    "sentences": list(each.sentences),
                }
                for each in self.decisions
            ],
        }  # fmt: skip

    def lines(self) -> list[str]:
        """A line for every decision."""
        plan = "its own plan" if self.is_own_plan else "another plan: figures hold up to the first other decision"
        told = [f"rollout {self.rollout.number} of {self.rollout.version}, replayed under {plan}"]
        told += [
            f"  {seconds_text(each.seconds):>8}  {each.place}: {each.outcome}: {'; '.join(each.sentences)}"
            for each in self.decisions
        ]
        return told if self.decisions else [*told, "  nothing would have been decided"]


def _time(seconds: float) -> str:
    return time.strftime("%m-%d %H:%M:%S", time.localtime(seconds))
