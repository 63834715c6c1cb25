"""Panel: which models are left alone for a while because they failed."""

from vitrail.pages.frame import render_page
from vitrail.pages.numbers import rough_duration
from vitrail.serving.breaker import BreakerState
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View


def breakers(view: View) -> str:
    """A line per model."""
    states = view.service.breakers.states()
    lines = [(state, *breaker_words(state)) for state in states]
    return render_page("console/breakers.html", lines=lines)


def breaker_words(state: BreakerState) -> tuple[str, str]:
    """How a breaker's state is coloured, and what it means."""
    if state.state == "open":
        wait = rough_duration(state.seconds_to_probe)
        return "poor", f"left alone; in {wait} one request tries it again"
    if state.state == "half-open":
        return "fair", "one request is trying it"
    if state.kept_as_last:
        return "fair", "fails often, and is asked all the same: no other is left"
    return "good", "is asked"


PANEL = Panel("breakers", "Breakers", breakers, beside=True)
