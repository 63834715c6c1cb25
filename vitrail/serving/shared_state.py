"""What servers share and what outlives them: routes, figures, answers whose truth may come. No request waits for it."""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitrail.basics.clock import Clock, SystemClock
from vitrail.basics.database import Database, opened_database
from vitrail.basics.errors import InputError, VitrailError
from vitrail.models.seal import package_digest
from vitrail.monitoring.exposures import ArmUsers, ExposureStore
from vitrail.monitoring.keeper import FiguresKeeper
from vitrail.monitoring.live_figures import LiveFigures
from vitrail.monitoring.server_reports import ServerReport, ServerReports
from vitrail.monitoring.shift_reports import ShiftKeeper
from vitrail.monitoring.truth import Truths
from vitrail.monitoring.truth_figures import TruthSettings
from vitrail.serving.feedback import ToldTruth
from vitrail.serving.refusals import Refusal
from vitrail.serving.reporting import ServerStanding
from vitrail.serving.settings import ServingSettings
from vitrail.traffic.route_changes import started_routes
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Routes
from vitrail.traffic.routes_store import RoutesStore

LOOK_EVERY_SECONDS = 0.4
"""How often a server looks for a new revision."""

NOT_KEPT = "none"
"""What is said for a state that ends with its server."""

Packages = Mapping[str, str]
"""Folder by model."""
Known = Mapping[str, KnownModel]
"""Every model of some routes, by its id."""


class SharedState:
    """Of one server alone, gone when it ends; `KeptState` is kept and shared."""

    def __init__(self, clock: Clock, settings: TruthSettings) -> None:
        self._truths = Truths(clock, settings)
        self._routes: tuple[Routes, Known] | None = None
        self._changed = asyncio.Event()

    async def begin(self, asked: Routes, packages: Packages, live: LiveFigures) -> tuple[Routes, Known]:
        """The routes to begin with, and where their models are; from now on figures are kept.

        Raises:
            SystemFault: the database cannot be reached.
        """
        self._routes = (asked, _unhashed(packages))
        return self._routes

    async def next_routes(self, *, after: int) -> tuple[Routes, Known]:
        """Wait for a revision that is newer."""
        while self._routes is None or self._routes[0].revision <= after:
            self._changed.clear()
            await self._changed.wait()
        return self._routes

    async def latest_routes(self) -> Routes | None:
        """The last ones that were written, be they in force here already or not."""
        return None if self._routes is None else self._routes[0]

    async def write_routes(self, routes: Routes, packages: Packages) -> None:
        """Write the next revision.

        Args:
            routes: their number is the one after the last.
            packages: of models that are new, or are to be loaded as they are now.

        Raises:
            DatabaseConflict: somebody else was quicker.
            InputError: a model is not known.
            SystemFault: the database cannot be reached.
        """
        known = {**(self._routes[1] if self._routes else {}), **_unhashed(packages)}
        missing = [name for name in routes.models if name not in known]
        if missing:
            raise InputError(f"the package of model {missing[0]} is not known", hint="tell its folder in `packages`")
        self._routes = (routes, known)
        self._changed.set()

    async def confirm(self, revision: int) -> None:
        """This server serves by it."""

    async def confirmations(self) -> dict[str, int]:
        """By which revision each server serves."""
        return {}

    async def report(self, standing: ServerStanding, *, ended: bool = False) -> None:
        """Tell those who share this state how this server is; where they cannot be reached, the next time."""

    async def write_exposures(self, users: Sequence[ArmUsers]) -> None:
        """Who came to a canary and its control; told again with the next users where that cannot be written."""

    async def report_shift(self, states: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str]) -> None:
        """Tell them whether images are like those that models know: the states of their stream tests, by model."""

    def answered(self, request_id: str, arm: str, answer: str, attributes: Mapping[str, str]) -> None:
        """An arm answered; its truth may be told later."""
        self._truths.remember(request_id, arm, answer, attributes)

    async def take_truth(self, told: ToldTruth) -> dict[str, str]:
        """The truth about an image that was answered.

        Raises:
            Refusal: nobody remembers that request.
        """
        status = self._truths.tell(told.request_id, told.truth)
        if status == "unknown":
            raise Refusal("not_found", "nobody remembers this request", hint="its request_id was in the answer")
        return {"status": status}

    def truths(self, arm: str, *, seconds: float) -> dict[str, Any]:
        """Accuracy of an arm and gaps between groups, of the truths that came within a window."""
        return self._truths.window(arm, seconds=seconds).as_json()

    def standing(self) -> dict[str, Any]:
        """Whether what is counted is kept, and if not, why."""
        return {"kept": False, "reason": "figures end with this server (--state none)"}

    async def end(self) -> None:
        """The server ends; what was counted last is written."""


class KeptState(SharedState):
    """In a database, which several servers may share.

    Args:
        database: opened, not necessarily there.
        server: this server's name, the same after a restart.
        clock: for figures and rows.
        settings: of truths and of keeping.
    """

    def __init__(self, database: Database, *, server: str, clock: Clock, settings: ServingSettings) -> None:
        super().__init__(clock, settings.truths)
        self._database, self._server, self._keeping = database, server, settings.keeping
        self._store = RoutesStore(database, clock.wall)
        self._reports, self._exposures = ServerReports(database), ExposureStore(database)
        self._shift = ShiftKeeper(database)
        self._source, self._beat = f"{server}/{uuid.uuid4().hex[:12]}", 0
        self._keeper: FiguresKeeper | None = None
        self._routes_fault: str | None = None

    async def begin(self, asked: Routes, packages: Packages, live: LiveFigures) -> tuple[Routes, Known]:
        """See `SharedState`; takes up the revision in force, unless something else is asked for than last time."""
        known = await asyncio.to_thread(_known, packages)
        routes = await asyncio.to_thread(started_routes, self._store, asked, known)
        self._keeper = FiguresKeeper(
            live, self._database, server=self._server, truths=self._truths, settings=self._keeping
        )  # fmt: skip
        self._keeper.start()
        return routes, await self._packages_of(routes)

    async def next_routes(self, *, after: int) -> tuple[Routes, Known]:
        """See `SharedState`. While the database is away the revision in force stays."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                revision = await asyncio.to_thread(self._store.latest_revision)
                if revision is not None and revision > after:
                    routes = await asyncio.to_thread(self._store.latest)
                    if routes is not None:
                        return routes, await self._packages_of(routes)
                self._routes_fault = None
            except VitrailError as error:
                self._routes_fault = error.message

    async def latest_routes(self) -> Routes | None:
        """See `SharedState`."""
        return await asyncio.to_thread(self._store.latest)

    async def write_routes(self, routes: Routes, packages: Packages) -> None:
        """See `SharedState`."""
        known = await asyncio.to_thread(_known, packages)
        await asyncio.to_thread(self._store.write, routes, expected=routes.revision - 1 or None, models=known)

    async def confirm(self, revision: int) -> None:
        """See `SharedState`; told again with the next revision where the database is away."""
        with contextlib.suppress(VitrailError):
            await asyncio.to_thread(self._store.confirm, self._server, revision)

    async def confirmations(self) -> dict[str, int]:
        """See `SharedState`."""
        told = await asyncio.to_thread(self._store.confirmations)
        return {each.server: each.revision for each in told}

    async def report(self, standing: ServerStanding, *, ended: bool = False) -> None:
        """See `SharedState`."""
        self._beat += 1
        report = ServerReport(self._server, self._source, self._beat, **vars(standing), ended=ended)
        try:
            await asyncio.to_thread(self._reports.write, report)
        except VitrailError:
            self._reports = ServerReports(self._database)  # a file that was removed is made anew

    async def write_exposures(self, users: Sequence[ArmUsers]) -> None:
        """See `SharedState`."""
        try:
            await asyncio.to_thread(self._exposures.write, self._source, users)
        except VitrailError:
            self._exposures = ExposureStore(self._database)

    async def report_shift(self, states: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str]) -> None:
        """See `SharedState`."""
        with contextlib.suppress(VitrailError):
            await asyncio.to_thread(self._shift.write, self._source, states, digests)

    def standing(self) -> dict[str, Any]:
        """See `SharedState`."""
        told = {} if self._keeper is None else self._keeper.state.as_json()
        return {"kept": True, "server": self._server, **told, "routes_fault": self._routes_fault}

    async def end(self) -> None:
        """See `SharedState`."""
        if self._keeper is not None:
            await asyncio.to_thread(self._keeper.stop)

    async def _packages_of(self, routes: Routes) -> Known:
        known = await asyncio.to_thread(self._store.models)
        return {name: known[name] for name in routes.models}


def opened_state(settings: ServingSettings, *, server: str) -> SharedState:
    """The state that is kept in a file, in a database, or nowhere (`none`).

    Raises:
        InputError: the address is none.
        SystemFault: the extra `serve` is not installed, or the folder cannot be made.
    """
    clock, place = SystemClock(), settings.state
    if place == NOT_KEPT:
        return SharedState(clock, settings.truths)
    if "://" not in place:
        Path(place).expanduser().parent.mkdir(parents=True, exist_ok=True)
    return KeptState(opened_database(place), server=server, clock=clock, settings=settings)


def _unhashed(packages: Packages) -> Known:
    """Of packages that nobody wrote a digest of: whatever lies there is loaded."""
    return {name: KnownModel(name, Path(folder), "") for name, folder in packages.items()}


def _known(packages: Packages) -> list[KnownModel]:
    return [KnownModel(name, Path(folder), package_digest(Path(folder))) for name, folder in packages.items()]
