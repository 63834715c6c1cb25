"""Panel: how every arm is, why that is said, and how the server itself is."""

from collections.abc import Mapping
from typing import Any

from vitrail.pages.frame import render_page
from vitrail.serving.console.models import share_words
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View

LOOKS = {"healthy": "good", "degraded": "fair", "unhealthy": "poor", "unknown": "none"}
"""How a verdict is coloured; its word stands there, too."""


def health(view: View) -> str:
    """A card per arm, and what there is to say of the server."""
    cards = [
        {"arm": arm, "share": share_words(arm, view.routes), "health": verdict, "look": LOOKS[verdict.status]}
        for arm in view.arms
        for verdict in (view.service.health(arm),)
    ]
    standing = view.service.standing()
    notices = [standing["problem"], *_keeping_troubles(standing["kept"])]
    if standing["draining"]:
        notices.append("This server is ending: what it has taken is still answered.")
    return render_page(
        "console/health.html", cards=cards, routes=view.routes, notices=[each for each in notices if each],
        kept=standing["kept"].get("sentence") or standing["kept"].get("reason") or "",
    )  # fmt: skip


def _keeping_troubles(kept: Mapping[str, Any]) -> list[str | None]:
    """What is wrong with the database, if there is one."""
    trouble = None if kept.get("connected", True) else kept.get("sentence")
    routes = kept.get("routes_fault")
    return [trouble, kept.get("caution"), f"Changes of the routes are not seen: {routes}" if routes else None]


PANEL = Panel("health", "Health", health)
