"""What panels look at: a server, and its figures over the window that somebody chose."""

from collections.abc import Iterator

from vitrail.monitoring.live_figures import ALL_REQUESTS
from vitrail.monitoring.window_figures import WindowFigures
from vitrail.serving.served_model import ServedModel
from vitrail.serving.service import Service
from vitrail.traffic.routes import Arm, Routes

WINDOWS = {60: "1 min", 300: "5 min", 3600: "60 min"}
"""Seconds that can be chosen, as people say them."""

DEFAULT_WINDOW = 300


class View:
    """One look at a server; figures of an arm are made once, for all panels that show them.

    Args:
        service: the server.
        seconds: length of the window, one of `WINDOWS`.
    """

    def __init__(self, service: Service, seconds: int = DEFAULT_WINDOW) -> None:
        self.service, self.seconds = service, seconds
        self._figures: dict[str, WindowFigures] = {}

    @property
    def routes(self) -> Routes | None:
        """Those in force; None before there are any."""
        return self.service.fleet.routes

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms in force, in their order."""
        return () if self.routes is None else self.routes.arms

    def model(self, arm: Arm) -> ServedModel:
        """The model that answers for an arm."""
        return self.service.fleet.models[arm.model]

    @property
    def counted(self) -> dict[str, str]:
        """What figures there are, as (name of the arm → what it is called): the arms, then those of earlier routes."""
        served = [arm.name for arm in self.arms]
        earlier = [name for name in self.service.live.arms() if name not in served]
        return {**{name: name for name in served}, **{name: f"{name} (not served now)" for name in earlier}}

    @property
    def counted_and_all(self) -> dict[str, str]:
        """As `counted`, after the requests as users see them, whoever answered."""
        return {ALL_REQUESTS: "All requests", **self.counted}

    def figures(self, arm: str) -> WindowFigures:
        """Of an arm, over the chosen window."""
        if arm not in self._figures:
            self._figures[arm] = self.service.live.window(arm, seconds=self.seconds)
        return self._figures[arm]

    def classes(self) -> Iterator[str]:
        """Names of the classes of all models."""
        for model in self.service.fleet.models.values():
            yield from model.facts.get("classes", ())
