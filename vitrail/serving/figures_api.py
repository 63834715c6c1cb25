"""What can be asked about a server: models, health, figures of a window, truths, what Prometheus reads."""

import re

from starlette.requests import Request
from starlette.responses import Response

from vitrail.monitoring.live_figures import ALL_REQUESTS
from vitrail.serving.bodies import capped_body
from vitrail.serving.feedback import told_truth
from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import as_json
from vitrail.serving.service import Service

WINDOW = "(?:[1-9][0-9]{0,2}|[1-2][0-9]{3}|3[0-5][0-9]{2}|3600)s?|(?:[1-9]|[1-5][0-9]|60)m|1h"
"""From a second to an hour, as a regular expression."""

_WINDOW = re.compile(WINDOW)
_SECONDS = {"m": 60, "h": 3600}
LARGEST_FEEDBACK = 64 * 1024


class FiguresApi:
    """Answers what operators and their programs ask."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def models(self, _request: Request) -> Response:
        """The models, their states and arms."""
        return as_json({"models": [self._service.model_facts(model, arms) for model, arms in self._service.models()]})

    async def health(self, request: Request) -> Response:
        """Of every arm: `healthy`, `degraded`, `unhealthy` or `unknown`, and why."""
        seconds = window_seconds(request.query_params.get("window", "5m"))
        arms = [
            {"arm": arm.name, "model_id": arm.model, **self._service.health(arm, seconds=seconds).as_json()}
            for _, arms in self._service.models()
            for arm in arms
        ]
        return as_json({"status": _worst([arm["status"] for arm in arms]), "arms": arms, **self._service.standing()})

    async def metrics(self, request: Request) -> Response:
        """Figures of one arm over a window."""
        name = request.path_params["arm"]
        known = [arm.name for _, arms in self._service.models() for arm in arms]
        arm = ALL_REQUESTS if name == "all" else name
        if arm not in (*known, *self._service.live.arms(), ALL_REQUESTS):
            raise Refusal("not_found", f"there is no arm {name[:60]!r}", hint=", ".join([*known, "all"]))
        seconds = window_seconds(request.query_params.get("window", "5m"))
        return as_json({"arm": name, **self._service.figures(arm, seconds=seconds)})

    async def prometheus(self, _request: Request) -> Response:
        """Counters since the server began."""
        states = ((model.name, model.state == "ready", model.waiting) for model, _ in self._service.models())
        text = self._service.counting.prometheus_text(states)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def feedback(self, request: Request) -> Response:
        """The truth of an image that was answered."""
        content = await capped_body(request, most_bytes=LARGEST_FEEDBACK, seconds=10.0)
        return as_json(await self._service.state.take_truth(told_truth(content)), status=202)

    async def alive(self, _request: Request) -> Response:
        """The process lives and answers."""
        return as_json({"status": "alive"})

    async def ready(self, _request: Request) -> Response:
        """Whether requests should be sent here."""
        ready = self._service.is_ready
        return as_json({"status": "ready" if ready else "not ready"}, status=200 if ready else 503)


def window_seconds(text: str) -> int:
    """`5m`, `90s`, `1h` or plain seconds, up to an hour.

    Raises:
        Refusal: it is none of them.
    """
    if not _WINDOW.fullmatch(text):
        raise Refusal("bad_request", f"a window of {text[:20]!r} was asked for", hint="1m, 5m, 1h, or seconds to 3600")
    return int(text.rstrip("smh")) * _SECONDS.get(text[-1], 1)


def _worst(statuses: list[str]) -> str:
    return next((status for status in ("unhealthy", "degraded", "unknown") if status in statuses), "healthy")
