"""A look at the servers: what they say of themselves, what they counted, and what both models answered."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vitrail.basics.clock import Clock
from vitrail.basics.database import Database
from vitrail.basics.errors import DamagedError, SystemFault
from vitrail.monitoring.exposures import ExposureStore
from vitrail.monitoring.figures_store import PART, VERSION, figures_tables
from vitrail.monitoring.server_reports import ServerReport, ServerReports
from vitrail.monitoring.tally import Tally
from vitrail.rollout.counting import arm_counts
from vitrail.rollout.evidence import ArmCounts, Evidence, Exposures, ForeignRoutes, ModelHealth, Pairs, Verification
from vitrail.rollout.live.arm_sums import ArmSums, watermark_now
from vitrail.rollout.live.kept_answers import index_answers, judged_now, pairs_now
from vitrail.rollout.live.kept_rollout import KeptRollout, Memory, Seen
from vitrail.rollout.live.living_servers import (
    LivingServers,
    crashes_of,
    ends_after,
    health_of,
    held_memory,
    model_reports,
)
from vitrail.rollout.live.verification import VerifiedPackage, Verifying
from vitrail.rollout.measuring import has_everybody, is_compared, is_measured
from vitrail.rollout.state import ArmLook
from vitrail.traffic.routes_store import RoutesStore

Verify = Callable[[KeptRollout, Path], VerifiedPackage]
"""Checks the package of a rollout's candidate against that in a folder, which it replaces."""


@dataclass(frozen=True)
class RoutesInForce:
    """The routes that hold.

    Attributes:
        revision: their number.
        are_right: whether they are those of the rollout's state.
        foreign: that somebody else wrote them, where they are not.
    """

    revision: int
    are_right: bool
    foreign: ForeignRoutes | None = None


class Observer:
    """Makes the evidence of ticks; remembers in memory what it has read, and in the rollout what must outlive it.

    Args:
        database: of the servers.
        servers: tells those that live.
        clock: for the stores.
        verify: checks the candidate's package.
    """

    def __init__(self, database: Database, servers: LivingServers, clock: Clock, verify: Verify) -> None:
        self._database, self._servers, self._verify = database, servers, verify
        self._reports, self._routes = ServerReports(database), RoutesStore(database, clock.wall)
        self._users = ExposureStore(database)
        self._verifying: Verifying | None = None
        self._sums: tuple[object, ArmSums] | None = None
        self._is_prepared = False

    def look(self, kept: KeptRollout, routes: RoutesInForce) -> Seen | None:
        """What there is to see now; None: it was not looked for long enough to know which servers live.

        Raises:
            SystemFault: the database is gone.
        """
        if not self._is_prepared:
            self._database.prepare(PART, VERSION, figures_tables().metadata)
            index_answers(self._database)
            self._is_prepared = True
        reports, damage = self._reports.readable()
        living, unreadable = self._servers.among(reports), None if damage is None else damage.message
        if not self._servers.is_settled:
            return None
        if not living:
            return _unknown(kept, routes, unreadable or "no server reports")
        memory, verification = self._verified(kept)
        is_known = kept.state.phase != "verifying"
        memory = replace(memory, ends=ends_after(memory.ends, living, kept.model, is_known=is_known))
        candidate, stable = _healths(kept, memory, living)
        confirmed = routes.are_right and all(each.revision >= routes.revision for each in living)
        evidence = Evidence(candidate, stable, verification, confirmed, unreadable, foreign=routes.foreign)
        if not is_measured(kept.plan, kept.state):
            return Seen(evidence, memory)
        return self._counted(kept, evidence, memory, revision=routes.revision)

    def _verified(self, kept: KeptRollout) -> tuple[Memory, Verification | None]:
        if kept.state.phase != "verifying":
            return kept.memory, None
        if self._verifying is None:
            self._verifying = Verifying(lambda: self._verify(kept, self._folder_of_stable(kept)))
        found = self._verifying.result()
        if found is None:
            return kept.memory, None
        folder = None if found.folder is None else str(found.folder)
        return replace(kept.memory, folder=folder, classes=found.classes), found.verification

    def _folder_of_stable(self, kept: KeptRollout) -> Path:
        return self._routes.models()[kept.arms.replaced.model].folder

    def _counted(self, kept: KeptRollout, evidence: Evidence, memory: Memory, *, revision: int) -> Seen:
        """The same with the figures of the phase. Where they cannot be read, or not within the time that a statement
        may take, that is a failed check, and what a person has ordered is obeyed all the same."""
        try:
            seen = self._with_figures(kept, evidence, memory)
            return replace(seen, evidence=replace(seen.evidence, exposures=self._exposures(kept, revision)))
        except (DamagedError, SystemFault) as error:
            self._sums = None
            return Seen(replace(evidence, unreadable=error.message), memory)

    def _with_figures(self, kept: KeptRollout, evidence: Evidence, memory: Memory) -> Seen:
        """It begins to count when every server serves by the routes of the phase."""
        arms, phase = _arms(kept), (kept.state.phase, kept.state.stage)
        if memory.counted != phase:
            if not evidence.confirmed:
                return Seen(evidence, memory)
            memory = replace(
                memory, counted=phase, slots=watermark_now(self._database, arms),
                judged=judged_now(self._database, arms),
            )  # fmt: skip
        sums, pairs = self._sums_of(kept, memory, arms), self._pairs(kept, memory)
        judged = judged_now(self._database, arms)
        looked = (kept.state.looked.candidate, kept.state.looked.control)
        counts = [
            _arm_counts(sums[arm], judged.get(arm, (0, 0)), memory.judged.get(arm, (0, 0)), before)
            for arm, before in zip(arms, looked, strict=False)
        ]
        control = counts[1] if len(counts) > 1 else None
        return Seen(replace(evidence, candidate_counts=counts[0], control_counts=control, pairs=pairs), memory)

    def _exposures(self, kept: KeptRollout, revision: int) -> Exposures | None:
        """Which users came to which arm by the routes of this phase."""
        if kept.state.phase != "stage" or not is_compared(kept.plan, kept.state):
            return None
        arms = kept.arms
        seen = self._users.seen([revision], candidate=arms.canary, control=arms.control)
        return None if seen is None else Exposures(seen.candidate, seen.control, seen.seen_in_two)

    def _sums_of(self, kept: KeptRollout, memory: Memory, arms: tuple[str, ...]) -> dict[str, Tally]:
        phase = (kept.number, memory.counted)
        if self._sums is None or self._sums[0] != phase:
            self._sums = (phase, ArmSums(self._database, arms, memory.slots))
        return self._sums[1].read()

    def _pairs(self, kept: KeptRollout, memory: Memory) -> Pairs | None:
        if kept.state.phase != "shadow":
            return None
        return pairs_now(
            self._database, shadow=kept.arms.shadow, beside=kept.arms.replaces, classes=memory.classes
        )  # fmt: skip


def _unknown(kept: KeptRollout, routes: RoutesInForce, why: str) -> Seen:
    """Nothing can be said of any model: that is a failed check, and no fault of the candidate."""
    unknown = ModelHealth("loading", False, why)
    return Seen(Evidence(unknown, unknown, unreadable=why, foreign=routes.foreign), kept.memory)


def _healths(kept: KeptRollout, memory: Memory, living: list[ServerReport]) -> tuple[ModelHealth, ModelHealth]:
    """Of the candidate and of the model that users would return to."""
    one, other = (model_reports(living, model) for model in (kept.model, kept.arms.replaced.model))
    candidate, stable = health_of(one, crashes=crashes_of(memory.ends)), health_of(other)
    refused = next((each for each in living if each.refused is not None and _is_own(kept, each)), None)
    if refused is not None and kept.state.phase != "verifying":
        where = f"{refused.server} could not bring revision {refused.refused} into force"
        candidate = replace(candidate, state="down", healthy=False, why=f"{where}: {refused.refused_why}")
    held = held_memory(one, other)
    if held is None:
        return candidate, stable
    return replace(candidate, memory_bytes=held.candidate), replace(stable, memory_bytes=held.stable)


def _is_own(kept: KeptRollout, report: ServerReport) -> bool:
    """Whether a revision that is refused came after those that the rollout began with: then it has the candidate."""
    return report.refused is not None and report.refused > kept.arms.base.revision


def _arms(kept: KeptRollout) -> tuple[str, ...]:
    """The arm of the candidate in this phase, and the one beside it if there is one."""
    if has_everybody(kept.plan, kept.state):
        return (kept.arms.replaces,)
    if is_compared(kept.plan, kept.state) and kept.state.phase == "stage":
        return kept.arms.canary, kept.arms.control
    return kept.arms.shadow, kept.arms.replaces


def _arm_counts(tally: Tally, judged: tuple[int, int], began: tuple[int, int], looked: ArmLook) -> ArmCounts:
    """A truth may be told again, and another: that takes nothing back of what was seen of this phase.

    It counts as a truth of the phase all the same when the next one comes; a tick refuses figures that became fewer.
    """
    truths = max(judged[0] - began[0], looked.judged)
    most_wrong = looked.wrong + truths - looked.judged
    wrong = min(max(judged[1] - began[1], looked.wrong), most_wrong)
    return replace(arm_counts(tally), judged=truths, wrong=wrong)
