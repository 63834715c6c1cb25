"""A server without its HTTP: models, routes, figures and what keeps them, begun and ended together."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from vitrail.basics.clock import SystemClock
from vitrail.monitoring.exposures import ExposedUsers
from vitrail.monitoring.health import Health, judged_health
from vitrail.monitoring.live_figures import LiveFigures
from vitrail.monitoring.recent_errors import RecentErrors
from vitrail.serving.answering import Answering
from vitrail.serving.begun_process import Begin, begun_directly
from vitrail.serving.breakers import Breakers
from vitrail.serving.counting import Counting
from vitrail.serving.fleet import Fleet
from vitrail.serving.kept_images import opened_kept_images
from vitrail.serving.model_faults import ModelFault, Overloaded, TooLate, UnusableImage
from vitrail.serving.probing import answered_lately, probe_for_ever
from vitrail.serving.reasons import reason_of
from vitrail.serving.refusals import Refusal
from vitrail.serving.reporting import REPORT_EVERY_SECONDS, RefusedRoutes, server_standing
from vitrail.serving.served_model import ServedModel
from vitrail.serving.settings import ServingSettings
from vitrail.serving.shared_state import Known, SharedState
from vitrail.traffic.routes import Arm, Routes

FACTS = ("version", "classes", "size", "device", "runtime", "why_runtime", "knows_its_images", "why_no_reference")
"""Of what a model process says about its model, what clients are told."""

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 10.0, 300.0
"""A revision that cannot be brought into force is tried again after so long, each time after twice as long."""


class Service:
    """Everything that answers, behind the HTTP.

    Args:
        asked: the routes that the command line or a file asks for.
        packages: folder by model id.
        settings: of the server.
        state: what is shared with other servers, and outlives this one.
        tell: receives what an operator wants to read.
        begun: begins processes of models.
    """

    def __init__(
        self, asked: Routes, packages: Mapping[str, str], settings: ServingSettings, state: SharedState, *,
        tell: Callable[[str], None], begun: Begin = begun_directly,
    ) -> None:  # fmt: skip
        clock = SystemClock()
        self.settings, self.state, self._tell = settings, state, tell
        self.live, self.errors = LiveFigures(clock), RecentErrors(clock)
        self.shift: dict[str, dict[str, Any]] = {}
        self.counting = Counting(self.live, state)
        self.breakers = Breakers([], clock.monotonic, settings.breakers)
        self.fleet = Fleet(settings, self.breakers, told=self._told, shifted=self._shifted, begun=begun)
        self.exposed = ExposedUsers()
        self.kept_images = opened_kept_images(settings.kept_images)
        keep = None if self.kept_images is None else self.kept_images.keep
        self.answering = Answering(self.fleet, self.breakers, self.errors, self.counting, keep, self.exposed)
        self.draining = False
        self.problem: str | None = None
        self.refused: RefusedRoutes | None = None
        self._asked, self._packages = asked, packages
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to load the models; answers are given as soon as the first is there."""
        routes, packages = await self.state.begin(self._asked, self._packages, self.live)
        every = self.settings.process.probe_every_seconds
        self._tasks = [
            asyncio.create_task(probe_for_ever(self.fleet, self.breakers, seconds=every), name="probing"),
            asyncio.create_task(self._follow(routes, packages), name="routes"),
            asyncio.create_task(self._report_for_ever(), name="reports"),
        ]

    async def stop(self, *, seconds: float) -> None:
        """Answer what was asked, at most so many seconds, and end everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.fleet.stop(seconds=seconds)
        await self.state.report(server_standing(self.fleet, self.breakers, self.refused), ended=True)
        await self.state.write_exposures(self.exposed.changed())
        await self.state.end()
        if self.kept_images is not None:
            await asyncio.to_thread(self.kept_images.stop)

    @property
    def is_ready(self) -> bool:
        """Whether requests should be sent here: not draining, and a real answer was given a moment ago."""
        return not self.draining and self.fleet.is_ready and answered_lately(self.fleet)

    def health(self, arm: Arm, *, seconds: float = 300.0) -> Health:
        """How an arm is, by the figures of the last five minutes and by whether its model is there."""
        model = self.fleet.models[arm.model]
        is_fine = model.state == "ready" or (model.state == "loading" and not model.has_answered)
        down = None if is_fine else f"model {model.name} {model.why}"
        return judged_health(self.live.window(arm.name, seconds=seconds), self.settings.health, down_because=down)

    def models(self) -> list[tuple[ServedModel, list[Arm]]]:
        """The models that are served, each with its arms."""
        arms = self.fleet.routes.arms if self.fleet.routes else ()
        return [(model, [arm for arm in arms if arm.model == name]) for name, model in self.fleet.models.items()]

    def model_to_look_with(self, name: str | None) -> ServedModel:
        """The model of that name; without one, the first that answers.

        Raises:
            Refusal: there is none.
        """
        models = self.fleet.models
        if name is not None and name not in models:
            raise Refusal("not_found", f"there is no model {name[:60]!r}", hint=", ".join(models))
        ready = [model for model in models.values() if model.state == "ready"]
        if name is None and not ready:
            raise Refusal("not_ready", "no model answers yet", retry_after=5)
        return models[name] if name is not None else ready[0]

    async def look(self, model: ServedModel, image: bytes, *, deadline: float) -> dict[str, Any]:
        """Where a model looks on an image; a fault of it is no fault of the image."""
        try:
            return {"model_id": model.name, **await model.look(image, deadline=deadline)}
        except UnusableImage as error:
            raise Refusal("unusable_image", error.message, hint=error.hint) from None
        except Overloaded as error:
            raise Refusal("overloaded", error.message, retry_after=error.retry_after) from None
        except TooLate as error:
            raise Refusal("too_late", error.message) from None
        except ModelFault as error:
            raise Refusal("model_failed", error.message, retry_after=5) from None

    def model_facts(self, model: ServedModel, arms: list[Arm]) -> dict[str, Any]:
        """What there is to say about a model; no folder, no process number."""
        facts = {name: model.facts.get(name) for name in FACTS}
        return {
            "model_id": model.name, "state": model.state, "why": model.why, "restarts": model.restarts,
            "waiting": model.waiting, **facts, "arms": [arm.as_json() for arm in arms],
        }  # fmt: skip

    def figures(self, arm: str, *, seconds: float) -> dict[str, Any]:
        """Figures of one arm over a window, and the state of its model's stream test."""
        routes = self.fleet.routes
        model = next((each.model for each in routes.arms if each.name == arm), None) if routes else None
        shift = self.shift.get(model) if model else None
        truth = self.state.truths(arm, seconds=seconds)
        return {**self.live.window(arm, seconds=seconds).as_json(), "shift": shift, "truth": truth}

    def standing(self) -> dict[str, Any]:
        """How the server itself is."""
        routes = self.fleet.routes
        return {
            "revision": None if routes is None else routes.revision, "draining": self.draining,
            "problem": self.problem, "kept": self.state.standing(), "breakers": self.breakers.as_json(),
            "kept_images": None if self.kept_images is None else self.kept_images.standing(),
        }  # fmt: skip

    async def _report_for_ever(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # whatever it is, the next report may be heard
                await self.state.report(server_standing(self.fleet, self.breakers, self.refused))
                await self.state.write_exposures(self.exposed.changed())
                digests = {name: model.order.digest for name, model in self.fleet.models.items()}
                await self.state.report_shift(dict(self.shift), digests)
            await asyncio.sleep(REPORT_EVERY_SECONDS)

    async def _follow(self, routes: Routes, packages: Known) -> None:
        """Bring into force what is in the shared state, now and whenever there is a new revision."""
        while True:
            newer = asyncio.create_task(self.state.next_routes(after=routes.revision))
            try:
                await self._bring_into_force(routes, packages, unless=newer)
                routes, packages = await newer
            finally:
                newer.cancel()

    async def _bring_into_force(self, routes: Routes, packages: Known, *, unless: asyncio.Task[Any]) -> None:
        """Until it is, or there is a newer one: what keeps it from that, such as a full disk, may go."""
        wait = FIRST_RETRY_SECONDS
        while not unless.done():
            trying = asyncio.create_task(self._try(routes, packages))
            try:
                await asyncio.wait({trying, unless}, return_when=asyncio.FIRST_COMPLETED)
                if trying.done() and trying.result():
                    return
            finally:
                trying.cancel()
                await asyncio.gather(trying, return_exceptions=True)
            await asyncio.wait({unless}, timeout=wait)
            wait = min(2 * wait, LONGEST_RETRY_SECONDS)

    async def _try(self, routes: Routes, packages: Known) -> bool:
        """Whether these routes are in force from now on."""
        try:
            lost = tuple(await self.fleet.adopt(routes, packages))
            why = "; ".join(f"{model.name} {model.why}" for model in lost)
        except Exception as error:  # noqa: BLE001 - whatever it is, later revisions are followed
            lost, why = (), reason_of(error)
        before, self.refused = self.refused, RefusedRoutes(routes.revision, why, lost) if why else None
        self.problem = f"revision {routes.revision} is not in force here: {why}" if why else None
        if self.refused is None:
            with contextlib.suppress(Exception):  # the state says so itself
                await self.state.confirm(routes.revision)
        elif before is None or (before.revision, before.why) != (routes.revision, why):
            self.errors.add("(routes)", "not loaded", str(self.problem))
            self._tell(f"routes   {self.problem}")
        return self.refused is None

    def _told(self, model: str, why: str) -> None:
        self._tell(f"model    {model} {why}")
        if why not in ("is being loaded", "answers", "was stopped"):
            self.errors.add(model, "model", why)

    def _shifted(self, model: str, state: dict[str, Any]) -> None:
        self.shift[model] = state
