"""Panel: what is answered, how often, and how sure the models are."""

from typing import Any

from vitrail.monitoring.health import window_words
from vitrail.monitoring.window_figures import WindowFigures
from vitrail.pages.frame import render_page
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View

MOST_CLASSES = 8
"""Of an arm; what the others come to is said in one line."""


def answers(view: View) -> str:
    """A card per arm that has answered."""
    cards = [
        {"name": words, **_shares(view.figures(arm))}
        for arm, words in view.counted.items()
        if view.figures(arm).answers
    ]
    return render_page("console/answers.html", cards=cards, span=window_words(view.seconds))


def _shares(figures: WindowFigures) -> dict[str, Any]:
    total = sum(figures.answers.values())
    most = list(figures.answers.items())[:MOST_CLASSES]
    highest = max(figures.confidence_histogram, default=0)
    return {
        "total": total,
        "shares": [(name, n, n / total) for name, n in most],
        "others": len(figures.answers) - len(most),
        "others_share": 1 - sum(n for _, n in most) / total,
        "confidence": figures.confidence_mean,
        "histogram": [n / highest if highest else 0.0 for n in figures.confidence_histogram],
    }


PANEL = Panel("answers", "Answers", answers)
