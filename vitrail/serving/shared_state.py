"""What servers share and what outlives them: the routes in force."""

import asyncio
from collections.abc import Mapping
from typing import Any

from vitrail.monitoring.live_figures import LiveFigures
from vitrail.serving.feedback import ToldTruth
from vitrail.serving.refusals import Refusal
from vitrail.serving.routes import Routes

Packages = Mapping[str, str]


class SharedState:
    """Of one server alone, gone when it ends."""

    def __init__(self) -> None:
        self._routes: tuple[Routes, Packages] | None = None
        self._changed = asyncio.Event()

    async def begin(self, asked: Routes, packages: Packages, live: LiveFigures) -> tuple[Routes, Packages]:
        """The routes to begin with."""
        self._routes = (asked, packages)
        return self._routes

    async def next_routes(self, *, after: int) -> tuple[Routes, Packages]:
        """Wait for a revision that is newer."""
        while self._routes is None or self._routes[0].revision <= after:
            self._changed.clear()
            await self._changed.wait()
        return self._routes

    async def write_routes(self, routes: Routes, packages: Packages) -> None:
        """The next revision."""
        self._routes = (routes, packages)
        self._changed.set()

    async def confirm(self, revision: int) -> None:
        """This server serves by it."""

    def answered(self, request_id: str, arm: str, answer: str, attributes: Mapping[str, str]) -> None:
        """An arm answered; its truth may be told later."""

    def truths(self, arm: str, seconds: float) -> dict[str, Any]:
        """Accuracy and gaps between groups, of the images whose truth is known."""
        return {}

    def standing(self) -> dict[str, Any]:
        """Whether what is kept is kept."""
        return {"status": "not kept", "reason": "this server keeps nothing"}

    async def end(self) -> None:
        """The server ends."""

    async def confirmations(self) -> dict[str, int]:
        """Which revision each server serves by."""
        return {}

    async def take_truth(self, told: ToldTruth) -> dict[str, str]:
        """The truth about an image that was answered.

        Raises:
            Refusal: it is not known here.
        """
        raise Refusal("not_found", "truths are not kept by this server")


def opened_state(place: str, *, server: str) -> SharedState:
    """The state that is kept in a file, in a database, or nowhere (`none`)."""
    return SharedState()
