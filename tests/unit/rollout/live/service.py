"""Servers made by hand: what they would write into their database is written by the stores that they use.

One step of it is what a server does in five seconds: it takes up the routes, reports, and counts requests.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.unit.monitoring.false_clock import FalseClock
from tests.unit.rollout.looks import small_plan
from vitrail.basics.database import Database, opened_database
from vitrail.models.seal import package_digest
from vitrail.monitoring.figures_store import FiguresStore
from vitrail.monitoring.server_reports import ModelReport, ServerReport, ServerReports
from vitrail.monitoring.slots import slot_at
from vitrail.monitoring.tally import Outcome, Tally
from vitrail.monitoring.truth import AnsweredRequest, ToldTruth
from vitrail.rollout.live.claim import Claim, waited_claim
from vitrail.rollout.live.conductor import Conductor, conductor_of
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.living_servers import LivingServers
from vitrail.rollout.live.rollout_store import RolloutStore
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.version_store import VersionStore
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Arm, Routes
from vitrail.traffic.routes_store import RoutesStore

CLASSES = ("ant", "bee")


@dataclass(frozen=True)
class Behaviour:
    """How a model does.

    Attributes:
        failing: one of so many requests fails; 0: none.
        slow: one of so many takes 0.2 seconds, else 0.02.
        says: the class that it answers to an image of a class.
        memory: of its process, by step.
        ends: how often its process ended, by step.
        loads: whether it can be loaded.
    """

    failing: int = 0
    slow: int = 20
    says: Callable[[str], str] = lambda truth: truth
    memory: Callable[[int], int] = lambda step: 400_000_000
    ends: Callable[[int], int] = lambda step: 0
    loads: bool = True


@dataclass
class HandServer:
    """One server: its stores, what it counts, and what it knows."""

    name: str
    database: Database
    clock: FalseClock
    behaviours: Mapping[str, Behaviour]
    truths: bool = True
    clock_off: float = 0.0
    ended: bool = False
    revision: int = 0
    beat: int = 0
    steps: int = 0
    refused: tuple[int, str] | None = None
    routes: Routes | None = None
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.source = f"{self.name}/{id(self):x}"
        self.figures = FiguresStore(self.database, server=self.name, source=self.source)
        self.reports, self.store = ServerReports(self.database), RoutesStore(self.database, self.clock.wall)
        self.figures.prepare()

    def step(self, requests: int = 400) -> None:
        """Five seconds of its life."""
        self.steps += 1
        self.follow()
        self.report()
        self.serve(requests)

    def follow(self) -> None:
        """Take up the latest routes, if all of their models can be loaded."""
        latest = self.store.latest()
        if latest is None or latest.revision == self.revision:
            return
        lost = [model for model in latest.models if not self.behaviour(model).loads]
        if lost:
            self.refused = (latest.revision, f"{lost[0]} could not be loaded: out of memory")
        else:
            self.routes, self.revision, self.refused = latest, latest.revision, None

    def wall(self) -> float:
        """As this server's clock has it."""
        return self.clock.wall() + self.clock_off

    def behaviour(self, model: str) -> Behaviour:
        return self.behaviours.get(model, Behaviour())

    def report(self) -> None:
        """Say how it is."""
        self.beat += 1
        models = () if self.routes is None else self.routes.models
        told = tuple(
            ModelReport(
                each, "", "ready", True, "answers", self.behaviour(each).ends(self.steps),
                self.behaviour(each).memory(self.steps),
            )
            for each in models
        )  # fmt: skip
        refused, why = self.refused or (None, "")
        self.reports.write(
            ServerReport(self.name, self.source, self.beat, self.revision, refused, why, told, self.ended)
        )

    def serve(self, requests: int) -> None:
        """Answer so many requests, and write down what was counted and answered."""
        if self.routes is None:
            return
        slot, tallies, answers = slot_at(self.wall()), dict[str, Tally](), list[AnsweredRequest]()
        stable = 1.0 - sum(arm.share for arm in self.routes.arms if arm.role in ("canary", "control"))
        for arm in self.routes.arms:
            whole = stable * arm.weight if arm.role == "stable" else arm.share
            if whole:
                tallies[arm.name] = self.tally(arm, round(requests * whole))
        copying = [arm for arm in self.routes.arms if arm.role == "shadow" and arm.share]
        for n in range(round(requests * copying[0].share) if copying else 0):
            key, truth = f"{self.source}-{next(self.numbers)}", CLASSES[n % 2]
            for arm in (*self.routes.stable_arms[:1], copying[0]):
                said = self.behaviour(arm.model).says(truth)
                answers.append(AnsweredRequest(key, self.wall(), arm.name, said, ()))
        self.figures.write_slots([(name, slot, tally) for name, tally in tallies.items()])
        self.figures.write_answers(answers)
        if self.truths and answers:
            told = {each.request_id: ToldTruth(CLASSES[n // 2 % 2], each.at) for n, each in enumerate(answers)}
            self.figures.write_truths(told, now=self.wall())

    def tally(self, arm: Arm, requests: int) -> Tally:
        """What came of asking an arm so often."""
        how, tally = self.behaviour(arm.model), Tally()
        for n in range(1, requests + 1):
            if how.failing and n % how.failing == 0:
                tally.count(Outcome("failure"))
            else:
                tally.count(Outcome("success", 0.2 if how.slow and n % how.slow == 0 else 0.02))
        return tally


class Service:
    """A database with servers, a version store, and a rollout that is conducted step by step.

    Args:
        address: of the servers' database.
        versions: the version store, with `flowers@1`, which is stable, and `flowers@2`, which was admitted.
        behaviours: by model; of `flowers-2` it is the candidate's.
        servers: their names.
        truths: whether users tell them.
        wall: the wall clock of conductors; None: the same as all others'.
    """

    def __init__(
        self, address: str, versions: VersionStore, behaviours: Mapping[str, Behaviour] | None = None, *,
        servers: tuple[str, ...] = ("one",), truths: bool = True, wall: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        self.clock, self.database, self.versions = FalseClock(), opened_database(address), versions
        self.store = RolloutStore(self.database, wall or self.clock.wall)
        self.routes = RoutesStore(self.database, self.clock.wall)
        folder = versions.folder("flowers@1")
        stable = Routes(1, (Arm("flowers-1", "flowers-1", weight=1.0),))
        self.routes.write(stable, expected=None, models=[KnownModel("flowers-1", folder, package_digest(folder))])
        self.servers = [
            HandServer(name, self.database, self.clock, behaviours or {}, truths=truths) for name in servers
        ]
        self.conductor: Conductor | None = None
        self.told: list[str] = []

    def begin(self, **plan: object) -> KeptRollout:
        """A rollout of `flowers@2`."""
        base = self.routes.latest()
        assert base is not None
        return self.store.begin(
            self.versions.version("flowers@2"), base, plan=quick_plan(**plan), by="Ada", versions=self.versions.shown
        )

    def claim(self, *, take_over: bool = True) -> Claim:
        current = self.store.current()
        assert current is not None
        return waited_claim(
            self.store, current.number, holder="here", clock=self.clock, take_over=take_over, wait=self.clock.go_on
        )

    def conduct(self) -> Conductor:
        """A conductor that begins anew."""
        self.conductor = conductor_of(
            self.claim(), self.database, LivingServers(self.clock, settle_seconds=0.0), self.clock
        )
        return self.conductor

    def step(self, requests: int = 400) -> KeptRollout:
        """Five seconds."""
        for server in self.servers:
            server.step(requests)
        self.clock.go_on(5.0)
        conductor = self.conductor or self.conduct()
        done = conductor.step()
        verifying = conductor._observer._verifying
        if verifying is not None and verifying._thread is not None:
            verifying._thread.join()  # so that the next step has its result
        self.told += done.told
        return self.kept if done.kept is None else done.kept

    @property
    def kept(self) -> KeptRollout:
        current = self.store.current()
        assert current is not None
        return current

    def run(
        self, *, until: Callable[[KeptRollout], object] = lambda kept: kept.is_closed, most: int = 400
    ) -> KeptRollout:
        """Step after step."""
        for _ in range(most):
            kept = self.step()
            if until(kept):
                return kept
        raise AssertionError(f"still {self.kept.state.phase} {self.kept.state.stage}: {self.kept.state.waiting}")

    def close(self) -> None:
        self.database.close()


def quick_plan(**values: object) -> RolloutSettings:
    """Three stages, each over after four looks where all is well."""
    stages = {"canary": 10.0, "half": 50.0, "all": 100.0}
    return small_plan(**{"stages": stages, "bake_seconds": 10.0, **values})


def phases_of(store: RolloutStore, kept: KeptRollout) -> list[str]:
    """Where it was, in order, each once."""
    places = [line.place for line in store.record(kept.number)]
    return [place for n, place in enumerate(places) if n == 0 or places[n - 1] != place]


def registered(store: VersionStore, package: Path, *, admitted: bool = True, stable: bool = False) -> None:
    """A version of `flowers`."""
    version = store.register("flowers", package, lineage={}, by="Ada")
    if admitted:
        store.set_state(version.id, "admitted", by="Ada")
    if stable:
        store.set_state(version.id, "rolled out", by="Ada")
        store.set_alias(version.id, "stable", by="Ada")


__all__ = ["Behaviour", "HandServer", "Service", "phases_of", "quick_plan", "registered", "replace"]
