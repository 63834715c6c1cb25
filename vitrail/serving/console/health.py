"""Panel: how every arm is, why that is said, and how the server itself is."""

from datetime import UTC, datetime

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
    since = standing["kept"].get("since")
    lost_at = "" if since is None else f"{datetime.fromtimestamp(since, UTC):%H:%M:%S} UTC"
    return render_page("console/health.html", cards=cards, standing=standing, routes=view.routes, since=lost_at)


PANEL = Panel("health", "Health", health)
