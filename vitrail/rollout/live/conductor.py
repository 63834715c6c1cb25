"""Whoever conducts a rollout: looks, decides, and brings the routes of the decision into force, until it is over."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vitrail.basics.clock import Clock
from vitrail.basics.database import Database, opened_database
from vitrail.basics.errors import InputError, SystemFault
from vitrail.rollout.live.addresses import address_of_versions
from vitrail.rollout.live.claim import Claim
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.living_servers import LivingServers
from vitrail.rollout.live.observer import Observer
from vitrail.rollout.live.route_keeping import are_of_nobody_here, settled_routes
from vitrail.rollout.live.verification import VerifiedPackage, verified
from vitrail.rollout.live.version_telling import tell_versions
from vitrail.rollout.version_store import VersionStore, opened_store
from vitrail.traffic.routes_store import RoutesStore

BEAT_SECONDS = 0.5
"""How often a conductor says that it lives, and looks whether somebody has ordered something."""


@dataclass(frozen=True)
class Pass:
    """What came of one pass of a conductor.

    Attributes:
        kept: how the rollout stands; None: the database could not be reached.
        told: what is new, in sentences.
    """

    kept: KeptRollout | None
    told: tuple[str, ...] = ()


class Conductor:
    """Takes a rollout one look further with every pass; nothing that it knows is lost when it is killed.

    A pass is: the routes of the state are in force; look; tick, in one transaction; the routes of the new state are in
    force. Whatever it is killed between, the next pass, of this conductor or another one, begins with the routes.

    Args:
        claim: on the rollout.
        database: of the servers.
        observer: looks.
        clock: for the stores.
        versions: opens the version store.
    """

    def __init__(
        self, claim: Claim, database: Database, observer: Observer, clock: Clock,
        versions: Callable[[KeptRollout], VersionStore],
    ) -> None:  # fmt: skip
        self._claim, self._observer, self._versions = claim, observer, versions
        self._routes = RoutesStore(database, clock.wall)
        self._fault: str | None = None

    def step(self) -> Pass:
        """One pass.

        Raises:
            Overtaken: another conductor has taken over.
        """
        try:
            done = self._pass()
        except SystemFault as fault:
            told = () if self._fault == fault.message else (f"waits: {fault.message}",)
            self._fault = fault.message
            return Pass(None, told)
        back = () if self._fault is None else ("goes on: what was away is back",)
        self._fault = None
        return Pass(done.kept, (*back, *done.told))

    def _pass(self) -> Pass:
        kept = self._claim.read()
        routes = settled_routes(kept, self._routes, self._claim)
        if kept.state.is_over:
            return self._end(kept, may_close=routes.are_right or are_of_nobody_here(kept, routes))
        seen = self._observer.look(kept, routes)
        if seen is None:
            return Pass(self._claim.beat())
        kept, decision = self._claim.tick(seen)
        if decision.outcome in ("wait", "none"):
            return Pass(kept)
        routes = settled_routes(kept, self._routes, self._claim)
        said = tuple(f"{decision.outcome}: {each}" for each in decision.sentences)
        if kept.state.is_over:
            ended = self._end(kept, may_close=routes.are_right or are_of_nobody_here(kept, routes))
            return Pass(ended.kept, (*said, *ended.told))
        return Pass(kept, said)

    def _end(self, kept: KeptRollout, *, may_close: bool) -> Pass:
        """Users have what the result says; now the version store learns it."""
        if kept.is_closed or not may_close:
            return Pass(kept)
        try:
            with contextlib.closing(self._versions(kept)) as store:
                told = tell_versions(store, kept)
        except InputError as error:  # another file lies there, or its password is not known here
            raise SystemFault(f"the version store does not take the result: {error.message}") from error
        return Pass(self._claim.close(), (told,))

    def heard(self) -> KeptRollout | None:
        """Say that this conductor lives; how the rollout stands, with what was ordered. None: the database is away.

        Raises:
            Overtaken: another conductor has taken over.
        """
        try:
            return self._claim.beat()
        except SystemFault:
            return None

    def passes(self, *, every: float, ended: threading.Event) -> Iterator[Pass]:
        """One pass after another, until the rollout is closed or somebody ends this conductor.

        Args:
            every: seconds from one look to the next; an order is obeyed sooner.
            ended: set by whoever ends it.
        """
        while not ended.is_set():
            done = self.step()
            yield done
            if done.kept is not None and done.kept.is_closed:
                return
            self._wait(every, ended, done.kept)

    def _wait(self, seconds: float, ended: threading.Event, kept: KeptRollout | None) -> None:
        left = seconds
        while left > 0 and not ended.wait(min(left, BEAT_SECONDS)):
            left -= BEAT_SECONDS
            now = self.heard() if left > 0 else None
            if now is not None and kept is not None and now.state != kept.state:
                return  # somebody has ordered something


def conductor_of(
    claim: Claim, database: Database, servers: LivingServers, clock: Clock, *, store: str | Path | None = None
) -> Conductor:  # fmt: skip
    """A conductor whose observer looks at a database, and whose version store is that of the rollout.

    Args:
        claim: on the rollout.
        database: of the servers.
        servers: tells those that live.
        clock: for the stores.
        store: address of the version store, where it has a password.

    Raises:
        InputError: it has one that nobody says.
    """
    place = address_of_versions(claim.read().versions, store)

    def versions(kept: KeptRollout) -> VersionStore:
        path = opened_database(place).address.path
        if path is not None and not path.exists():  # an empty one that is made anew would know no version
            raise SystemFault(f"{kept.versions}: the version store is not there", hint="put its file back")
        return opened_store(place, clock.wall)

    def verify(kept: KeptRollout, stable: Path) -> VerifiedPackage:
        with contextlib.closing(versions(kept)) as store:
            return verified(store, kept.version, kept.digest, stable=stable)

    return Conductor(claim, database, Observer(database, servers, clock, verify), clock, versions)
