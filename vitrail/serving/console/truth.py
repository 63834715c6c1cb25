"""Panel: how often the answers were right, where somebody told what was true."""

from vitrail.monitoring.health import window_words
from vitrail.pages.frame import render_page
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View


def truth(view: View) -> str:
    """Figures of each arm whose truth is known."""
    figures = {
        words: view.service.state.truths(arm, seconds=float(view.seconds)) for arm, words in view.counted.items()
    }
    told = [(words, each) for words, each in figures.items() if each["accuracy"]["n"]]
    return render_page("console/truth.html", told=told, span=window_words(view.seconds))


PANEL = Panel("truth", "Truth", truth, beside=True)
