"""Panel: the models, and which share of the traffic each arm gets."""

from vitrail.pages.frame import render_page
from vitrail.pages.numbers import percent
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View
from vitrail.traffic.routes import Arm, Routes


def models(view: View) -> str:
    """A row per arm."""
    rows = [
        {"arm": arm, "share": share_words(arm, view.routes), "model": view.model(arm)}
        for arm in view.arms
        if view.routes is not None
    ]
    return render_page("console/models.html", rows=rows, routes=view.routes)


def share_words(arm: Arm, routes: Routes | None) -> str:
    """What an arm gets of all traffic.

    >>> routes = Routes(1, (Arm("a", "a", weight=80.0), Arm("b", "b", weight=20.0), Arm("c", "b", "canary", share=0.5)))
    >>> [share_words(arm, routes) for arm in routes.arms]
    ['40.0 %', '10.0 %', '50.0 %']
    """
    if arm.role == "shadow":
        return f"copies of {percent(arm.share)}"
    if arm.role != "stable" or routes is None:
        return percent(arm.share)
    left = 1 - sum(other.share for other in routes.arms if other.role in ("canary", "control"))
    return percent(left * arm.weight / sum(other.weight for other in routes.stable_arms))


PANEL = Panel("models", "Models and shares", models)
