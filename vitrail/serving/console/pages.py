"""The addresses of the console: the page, its panels as they are now, and its script."""

import asyncio
import logging
import time
from collections.abc import Sequence

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from vitrail.pages.frame import render_page
from vitrail.pages.window import stained_window
from vitrail.serving.console import (
    answers,
    breakers,
    cautions,
    charts,
    drift,
    health,
    last_errors,
    models,
    traffic,
    truth,
)  # fmt: skip
from vitrail.serving.console.panels import Panel, script_response
from vitrail.serving.console.view import DEFAULT_WINDOW, WINDOWS, View
from vitrail.serving.service import Service

LOGGER = logging.getLogger("vitrail.serve")

PANELS: tuple[Panel, ...] = tuple(
    room.PANEL for room in (health, charts, traffic, models, answers, last_errors, drift, truth, breakers, cautions)
)
"""In the order in which a phone shows them."""

KEPT_SECONDS = 1.0
"""For so long what was drawn is shown to everybody: ten who look cost no more than one."""


class Console:
    """A page and its panels.

    Args:
        service: what is shown.
        panels: in order.
    """

    def __init__(self, service: Service, panels: Sequence[Panel] = PANELS) -> None:
        self._service, self._panels = service, panels
        self._drawing = asyncio.Lock()
        self._failed: set[str] = set()
        self._drawn: dict[int, tuple[float, dict[str, str]]] = {}

    def routes(self) -> list[Route]:
        """The addresses, for `serving.app.application`."""
        return [
            Route("/", self.page), Route("/console/live", self.live), Route("/console.js", self.script),
        ]  # fmt: skip

    async def page(self, request: Request) -> Response:
        """The whole page, which shows figures also where scripts are off."""
        seconds = _window(request)
        drawn = await self._panels_now(seconds)
        columns = {
            beside: [Markup(drawn[panel.name]) for panel in self._panels if panel.beside is beside]
            for beside in (False, True)
        }
        text = render_page(
            "console/page.html", main=columns[False], beside=columns[True], windows=WINDOWS, seconds=seconds,
            window=stained_window("console"), panels=self._panels,
            scripts=[panel.script for panel in self._panels if panel.script],
        )  # fmt: skip
        return HTMLResponse(text)

    async def live(self, request: Request) -> Response:
        """The panels as they are now."""
        drawn = await self._panels_now(_window(request))
        return HTMLResponse("\n".join(drawn.values()))

    async def script(self, _request: Request) -> Response:
        """What keeps the panels up to date and sends images."""
        return script_response("console.js")

    async def _panels_now(self, seconds: int) -> dict[str, str]:
        async with self._drawing:
            at, drawn = self._drawn.get(seconds, (float("-inf"), {}))
            if time.monotonic() - at >= KEPT_SECONDS:
                drawn = await self._drawn_panels(View(self._service, seconds))
                self._drawn[seconds] = time.monotonic(), drawn
            return drawn

    async def _drawn_panels(self, view: View) -> dict[str, str]:
        """One after the other, so that requests to predict are answered in between."""
        drawn = {}
        for panel in self._panels:
            try:
                drawn[panel.name] = panel.html(view)
            except Exception:
                if panel.name not in self._failed:  # once, not every second
                    LOGGER.exception("the panel %s cannot be drawn", panel.name)
                self._failed.add(panel.name)
                drawn[panel.name] = panel.html_where_it_fails()
            await asyncio.sleep(0)
        return drawn


def _window(request: Request) -> int:
    """The window that is asked for; one that there is not is the usual one: a page is no place for riddles."""
    asked = request.query_params.get("window", "")
    return int(asked) if asked in map(str, WINDOWS) else DEFAULT_WINDOW
