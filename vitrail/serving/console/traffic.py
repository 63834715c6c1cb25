"""Panel: how much was asked, how much was answered, and how fast."""

from vitrail.monitoring.health import window_words
from vitrail.pages.frame import render_page
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View


def traffic(view: View) -> str:
    """A row per arm, and one for all requests."""
    rows = [{"name": words, "figures": view.figures(arm)} for arm, words in view.counted_and_all.items()]
    return render_page("console/traffic.html", rows=rows, span=window_words(view.seconds))


PANEL = Panel("traffic", "Traffic", traffic)
