"""Panel: where a rollout stands, the evidence, why it waits, and the buttons of whoever may administer.

What a rollout is, this room does not know: a `RolloutSource` that is handed in says it in plain values.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from vitrail.pages.frame import render_page
from vitrail.serving.bodies import capped_body
from vitrail.serving.console.panels import Panel, script_response
from vitrail.serving.console.view import View
from vitrail.serving.guarding import guarded
from vitrail.serving.keys import Keys
from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import as_json

LOOKS = {
    "fine": "good", "shown": "good", "suspicious": "fair", "not shown yet": "fair", "failed": "poor",
    "not measured": "none",
}  # fmt: skip
"""How the verdict of a gate is coloured; its word stands there, too."""

ORDERS = {"pause": "Pause", "resume": "Resume", "promote": "Go on now", "abort": "Abort"}
"""What can be ordered, as buttons say it."""

SHOWN_DECISIONS = 12
MOST_ORDER_BYTES = 16_384
MOST_NUMBER = 2**31 - 1
"""Of a rollout: what a database has room for."""
_HINT = '{"number": 3, "order": "pause", "by": "Ada Lovelace", "why": "the ward round"}'


@runtime_checkable
class RolloutSource(Protocol):
    """What says how a rollout stands, and takes orders."""

    def shown(self) -> Mapping[str, Any] | None:
        """The one that goes on, else the last that ended, as `rollout.standing.rollout_standing` and its number, its
        version, the version that it replaces and what may be ordered; None: there was none. Never waits."""

    def start(self) -> None:
        """Begin to look; does not block."""

    def stop(self) -> None:
        """Look no more; what was begun for it ends."""

    def order(self, number: int, order: str, *, by: str, why: str, place: str | None = None) -> None:
        """Give an order; may wait for a database. `place` is the title of the phase that whoever gives it saw.

        Raises:
            VitrailError: it cannot be obeyed.
        """


class RolloutConsole:
    """What stands beside a server that has rollouts (`serving.beside.Beside`): panels, and where their buttons send to.

    Args:
        source: of what is shown.
    """

    def __init__(self, source: RolloutSource) -> None:
        self._source = source
        self.panels: Sequence[Panel] = (
            Panel("rollout", "Rollout", self.standing),
            Panel("orders", "Orders", self.orders, beside=True, script="console/orders.js"),
        )

    def routes(self, keys: Keys) -> list[Route]:
        """For administrators only."""
        return [
            Route("/console/rollout", guarded(keys, "administer", self.ordered), methods=["POST"]),
            Route("/console/orders.js", guarded(keys, "administer", self.script), methods=["GET"]),
        ]

    def start(self) -> None:
        """The source begins to look."""
        self._source.start()

    def stop(self) -> None:
        """It looks no more."""
        self._source.stop()

    def standing(self, _view: View) -> str:
        """Stages, evidence with intervals, and why it waits."""
        shown = self._source.shown()
        if shown is None:
            return render_page("console/no_rollout.html")
        gates = [{**gate, "look": LOOKS[gate["verdict"]]} for gate in shown["gates"]]
        decisions = [
            {**each, "at": datetime.fromtimestamp(each["at"], UTC)}
            for each in reversed(shown["decisions"][-SHOWN_DECISIONS:])
        ]
        older = max(0, len(shown["decisions"]) - SHOWN_DECISIONS)
        return render_page(
            "console/rollout.html", rollout=shown, gates=gates, decisions=decisions, older=older,
            steps=_steps(shown), look=_look(shown),
        )  # fmt: skip

    def orders(self, _view: View) -> str:
        """The buttons: only those that the rollout would obey now."""
        shown = self._source.shown()
        possible = () if shown is None else shown["orders"]
        return render_page("console/orders.html", rollout=shown, buttons={name: ORDERS[name] for name in possible})

    async def script(self, _request: Request) -> Response:
        """What sends an order without leaving the page."""
        return script_response("orders.js")

    async def ordered(self, request: Request) -> Response:
        """An order of a person, from the form of the page (with scripts or without) or from a program."""
        content = await capped_body(request, most_bytes=MOST_ORDER_BYTES, seconds=10.0, take=lambda _: None)
        is_form = "json" not in request.headers.get("content-type", "")
        number, order, by, why, place = _understood(content, is_form=is_form)
        await asyncio.to_thread(self._source.order, number, order, by=by, why=why, place=place)
        if is_form:
            return RedirectResponse("../#rollout", status_code=303)
        return as_json({"ordered": order, "number": number, "by": by}, status=202)


def _understood(content: bytes, *, is_form: bool) -> tuple[int, str, str, str, str | None]:
    try:
        told = dict(parse_qsl(content.decode(), max_num_fields=8)) if is_form else json.loads(content)
        number, order = int(str(told["number"])), str(told["order"])
        if not 1 <= number <= MOST_NUMBER:
            raise ValueError("no rollout has this number")
        by, why, place = (str(told.get(name) or "").strip() for name in ("by", "why", "place"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refusal("bad_request", "this is no order", hint=_HINT) from None
    if order not in ORDERS:
        raise Refusal("bad_request", f"there is no order {order[:40]!r}", hint=", ".join(ORDERS))
    if not by or (order in ("promote", "abort") and not why):
        missing = "who orders it" if not by else "why"
        raise Refusal("bad_request", f"an order says who gives it, and one that moves users why; {missing} is missing")
    return number, order, by[:200], why[:1000], place or None


def _steps(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All phases in order, each `done`, `now`, `ahead`, or where it ended."""
    names: list[tuple[str, str]] = [("verifying", "verify"), ("loading", "load")]
    if shown["shadow_share"] > 0:
        names.append(("shadow", "shadow"))
    names += [(f"stage {number}", f"{each['percent']:g} %") for number, each in enumerate(shown["stages"])]
    names += [("bake", "bake"), ("completed", "done")]
    keys = [key for key, _ in names]
    here = f"stage {shown['stage']}" if shown["phase"] == "stage" else shown["phase"]
    if here == "rolled back":
        here = _ended_at(shown, keys)
    place = keys.index(here) if here in keys else 0
    now = "failed" if shown["phase"] == "rolled back" else "done" if shown["phase"] == "completed" else "now"
    standing = [*["done"] * place, now, *["ahead"] * len(names)]
    return [{"name": name, "standing": each} for (_, name), each in zip(names, standing, strict=False)]


def _ended_at(shown: Mapping[str, Any], keys: list[str]) -> str:
    """The phase in which the last decision was taken."""
    title = shown["decisions"][-1]["where"] if shown["decisions"] else "verifying"
    titles = {f"stage {each['name']}": f"stage {number}" for number, each in enumerate(shown["stages"])}
    found = {"canary": "stage 0", **titles}.get(title, title)
    return found if found in keys else keys[0]


def _look(shown: Mapping[str, Any]) -> str:
    if shown["result"] is not None:
        return "good" if shown["result"] == "success" else "poor"
    return "fair" if shown["paused"] else "none"
