"""Panel: what went wrong lately, newest first."""

from collections import Counter
from datetime import UTC, datetime

from vitrail.pages.frame import render_page
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View

SERVER_SOURCES = ("(routes)", "(server)")
MOST_SHOWN = 20


def last_errors(view: View) -> str:
    """The errors of all arms, models and the server itself; those that say the same are told once."""
    sources = dict.fromkeys([*SERVER_SOURCES, *view.counted, *view.service.fleet.models])
    times: Counter[tuple[str, str, str]] = Counter()
    latest: dict[tuple[str, str, str], float] = {}
    for source in sources:
        for error in view.service.errors.of(source):
            said = (source, error.kind, error.message)
            times[said] += 1
            latest[said] = max(error.at, latest.get(said, 0.0))
    newest = sorted(latest, key=lambda said: -latest[said])
    rows = [(datetime.fromtimestamp(latest[said], UTC), *said, times[said]) for said in newest[:MOST_SHOWN]]
    return render_page("console/last_errors.html", rows=rows, more=len(newest) - len(rows))


PANEL = Panel("errors", "Last errors", last_errors)
