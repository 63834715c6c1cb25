"""Panel: whether the images that come are like those that a model was trained on."""

from typing import Any

from vitrail.measures.intervals import Measure, wilson
from vitrail.pages.frame import render_page
from vitrail.pages.numbers import p_value
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View
from vitrail.serving.served_model import ServedModel

EXPECTED_UNLIKE = 0.05
"""The share of images that are called unlike the known ones though nothing has changed: `prediction.answers.UNLIKE`,
which cannot be imported here without torch."""


def drift(view: View) -> str:
    """A card per model."""
    cards = []
    for name, model in view.service.fleet.models.items():
        state = view.service.shift.get(name) or {}
        look, verdict, reason = _verdict(model, state)
        cards.append({
            "name": name, "look": look, "verdict": verdict, "reason": reason, "seen": state.get("seen", 0),
            "unlike": _unlike(state),
        })  # fmt: skip
    return render_page("console/drift.html", cards=cards, expected=EXPECTED_UNLIKE)


def _verdict(model: ServedModel, state: dict[str, Any]) -> tuple[str, str, str]:
    """How it is coloured, what is said, and why."""
    if not model.facts:
        return "none", "nothing can be said yet", f"the model {model.why}"
    if not model.facts.get("knows_its_images"):
        return "none", "the package does not say what it knows", model.facts.get("why_no_reference") or ""
    if not state.get("seen"):
        return "none", "nothing can be said yet", "no image has come since the model was loaded"
    said = p_value(state["p_value"])
    if state["changed"]:
        return "poor", f"changed ({said})", "answers may be worth less than its report says: label some of these images"
    return "good", "like the known images so far", said


def _unlike(state: dict[str, Any]) -> Measure | None:
    seen = state.get("seen", 0)
    return wilson(state.get("unlike", 0), seen, name="unlike the known images") if seen else None


PANEL = Panel("drift", "Drift", drift, beside=True)
