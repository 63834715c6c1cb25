"""Which servers live, and how the two models of a rollout are on them, by what the servers say of themselves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vitrail.basics.clock import Clock
from vitrail.monitoring.server_reports import ModelReport, ServerReport
from vitrail.rollout.evidence import ModelHealth, ModelState

SILENT_SECONDS = 10.0
"""A server that says nothing for so long is not there."""
SETTLE_SECONDS = 3.5
"""A server reports every second or two: after so long whoever looks has seen each that lives say something twice."""
_WORST = ("down", "loading", "ready")


class LivingServers:
    """Tells servers that are there from those that are not: those whose counter grows, seen by the own clock.

    Args:
        clock: steady.
        silent_seconds: see `SILENT_SECONDS`.
        settle_seconds: see `SETTLE_SECONDS`.
    """

    def __init__(
        self, clock: Clock, *, silent_seconds: float = SILENT_SECONDS, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._clock, self._silent, self._settle = clock, silent_seconds, settle_seconds
        self._began: float | None = None
        self._beats: dict[str, int] = {}
        self._grown: dict[str, float] = {}
        self._knows_all = False

    @property
    def is_settled(self) -> bool:
        """Whether it has looked for long enough to know who lives."""
        return self._knows_all or (self._began is not None and self._clock.monotonic() - self._began >= self._settle)

    def among(self, reports: Sequence[ServerReport]) -> list[ServerReport]:
        """The reports of those that live, as they say it now; of a process that has said good-bye none."""
        now = self._clock.monotonic()
        self._began = now if self._began is None else self._began
        for each in reports:
            if each.beat > self._beats.get(each.source, each.beat):
                self._grown[each.source] = now
            self._beats[each.source] = each.beat
        there = [each for each in reports if not each.ended]
        self._knows_all = self._knows_all or all(each.source in self._grown for each in there)
        never = float("-inf")
        return [each for each in there if now - self._grown.get(each.source, never) <= self._silent]


def model_reports(reports: Iterable[ServerReport], model: str) -> dict[str, ModelReport | None]:
    """By server what it says of a model; None: it does not know it yet."""
    return {
        report.server: next((each for each in report.models if each.model == model), None) for report in reports
    }  # fmt: skip


def health_of(reports: Mapping[str, ModelReport | None], *, crashes: int = 0) -> ModelHealth:
    """How a model is where it is worst.

    Args:
        reports: by server; at least one.
        crashes: how often its process ended, on all servers.
    """
    told: dict[str, tuple[ModelState, bool, str]] = {
        server: ("loading", False, "unknown there yet") if each is None else (each.state, each.healthy, each.why)
        for server, each in reports.items()
    }
    server = min(told, key=lambda each: (_WORST.index(told[each][0]), told[each][1]))
    state, healthy, why = told[server]
    where = f" (on {server})" if len(told) > 1 else ""
    unwell = [reports[each] for each, (_, is_well, _) in told.items() if not is_well]
    is_new = bool(unwell) and all(each is None or (each.state == "loading" and not each.ends) for each in unwell)
    return ModelHealth(state, healthy, f"{why}{where}" if why else "", crashes, is_new=is_new)


def ends_after(
    ends: Mapping[str, tuple[int, int]], reports: Iterable[ServerReport], model: str, *, is_known: bool
) -> dict[str, tuple[int, int]]:
    """By process of a server, how often a model's process had ended when the rollout first saw it, and when last.

    Args:
        ends: before this look.
        reports: of living servers.
        model: of the candidate.
        is_known: whether the rollout has shown it to the servers: one that comes later has seen nothing before.
    """
    after = dict(ends)
    for report in reports:
        told = next((each.ends for each in report.models if each.model == model), None)
        if told is not None:
            first, last = after.get(report.source, (0 if is_known else told, told))
            after[report.source] = (first, max(last, told))
    return after


def crashes_of(ends: Mapping[str, tuple[int, int]]) -> int:
    """How often it ended since, on all servers."""
    return sum(last - first for first, last in ends.values())


@dataclass(frozen=True)
class HeldMemory:
    """What both models hold on the server where the candidate holds most against the other."""

    candidate: int
    stable: int


def held_memory(
    candidate: Mapping[str, ModelReport | None], stable: Mapping[str, ModelReport | None]
) -> HeldMemory | None:
    """The memory of both where it differs most; None: on no server are both ready and known."""
    found = [
        HeldMemory(one.memory_bytes, other.memory_bytes)
        for server, one in candidate.items()
        if one is not None and (other := stable.get(server)) is not None
        and one.state == other.state == "ready" and one.memory_bytes and other.memory_bytes
    ]  # fmt: skip
    return max(found, key=lambda each: each.candidate / each.stable, default=None)
