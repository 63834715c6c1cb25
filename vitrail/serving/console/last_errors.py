"""Panel: what went wrong lately, newest first."""

from datetime import UTC, datetime

from vitrail.pages.frame import render_page
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View

SERVER_SOURCES = ("(routes)", "(server)")
MOST_SHOWN = 20


def last_errors(view: View) -> str:
    """The errors of all arms, models and the server itself."""
    sources = dict.fromkeys([*SERVER_SOURCES, *view.counted, *view.service.fleet.models])
    found = [(error, source) for source in sources for error in view.service.errors.of(source)]
    newest = sorted(found, key=lambda each: -each[0].at)[:MOST_SHOWN]
    rows = [
        {"at": datetime.fromtimestamp(error.at, UTC), "source": source, "kind": error.kind, "message": error.message}
        for error, source in newest
    ]
    return render_page("console/last_errors.html", rows=rows, more=len(found) - len(rows))


PANEL = Panel("errors", "Last errors", last_errors)
