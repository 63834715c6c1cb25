"""A service that was never started, with figures that were made up: for what only looks at it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitrail.basics.clock import SystemClock
from vitrail.monitoring.live_figures import ALL_REQUESTS
from vitrail.monitoring.tally import Outcome
from vitrail.serving.fleet import model_bounds, model_order
from vitrail.serving.served_model import ServedModel
from vitrail.serving.service import Service
from vitrail.serving.settings import ServingSettings
from vitrail.serving.shared_state import SharedState
from vitrail.traffic.routes import Arm, Routes

FACTS: dict[str, Any] = {
    "version": "0123456789ab", "classes": ["ant", "bee"], "size": [48, 48], "device": "cpu", "runtime": "torch",
    "why_runtime": "", "knows_its_images": True, "why_no_reference": None,
}  # fmt: skip


def made_up_service(
    arms: Sequence[Arm] = (), *, facts: Mapping[str, Any] | None = FACTS, keep_images: Path | None = None, **routes: Any
) -> Service:
    """Routes of these arms are in force, and their models answer; without `facts` they are being loaded."""
    settings = ServingSettings.gather(keep_images=keep_images)
    asked = Routes(1, tuple(arms) or (Arm("ants", "ants", weight=1.0),), **routes)
    service = Service(asked, {}, settings, SharedState(SystemClock(), settings.truths), tell=lambda _: None)
    if arms:
        service.fleet.routes = asked
        service.fleet.models = {name: _model(name, settings, facts) for name in asked.models}
        service.breakers.follow(asked.models)
    return service


def _model(name: str, settings: ServingSettings, facts: Mapping[str, Any] | None) -> ServedModel:
    order = model_order("nowhere", "", settings)
    model = ServedModel(name, order, model_bounds(settings), told=lambda *_: None, shifted=lambda *_: None)
    if facts is not None:
        model._life.facts, model._life.state, model._life.why = dict(facts), "ready", "answers"
    return model


def count(service: Service, arm: str, n: int, status: str = "success", **told: Any) -> None:
    """Count so many outcomes, for the arm and as users see them."""
    success = {} if status in ("failure", "refused") else {"seconds": 0.02, "answer": "ant", "confidence": 0.9}
    for _ in range(n):
        for name in (arm, ALL_REQUESTS):
            service.live.count(name, Outcome(status, **{**success, **told}))  # type: ignore[arg-type]
