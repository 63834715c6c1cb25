"""The HTTP of a server: an address and a method for everything that can be asked."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vitrail.serving.answering import Answer, Question
from vitrail.serving.bodies import BodyRoom, PredictBody, capped_body, predict_body
from vitrail.serving.figures_api import FiguresApi
from vitrail.serving.guarding import guarded
from vitrail.serving.keys import Keys
from vitrail.serving.protection import Protection, is_loopback
from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import as_json, refusal_body, refused
from vitrail.serving.routes_api import RoutesApi
from vitrail.serving.service import Service


class Api:
    """Answers requests to predict."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._room = BodyRoom(service.settings.limits.most_waiting_bytes)

    async def predict(self, request: Request) -> Response:
        """One image or many to answers."""
        with self._room.place() as take:
            return await self._answered(request, take)

    async def _answered(self, request: Request, take: Callable[[int], None]) -> Response:
        began = time.monotonic()
        body = await self._body(request, take)
        deadline = began + self._service.settings.limits.deadline_seconds
        questions = [Question(image, deadline, body.user_id, body.attributes) for image in body.images]
        if not body.many:
            answer = await self._unless_gone(request, self._service.answering.answer(questions[0]))
            return as_json(answer.as_json(), headers=_timing(answer, time.monotonic() - began))
        told = await self._unless_gone(request, self._answer_all(questions))
        return as_json({"results": told})

    async def look(self, request: Request) -> Response:
        """Where a model looks on an image, drawn."""
        with self._room.place() as take:
            body = await self._body(request, take)
            model = self._service.model_to_look_with(request.query_params.get("model"))
            deadline = time.monotonic() + self._service.settings.limits.deadline_seconds
            seen = self._service.look(model, body.images[0], deadline=deadline)
            return as_json(await self._unless_gone(request, seen))

    async def _body(self, request: Request, take: Callable[[int], None]) -> PredictBody:
        limits = self._service.settings.limits
        content = await capped_body(
            request, most_bytes=limits.most_body_bytes, seconds=limits.body_seconds, take=take
        )  # fmt: skip
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "model"]
        return await predict_body(content, request.headers, query, most_images=limits.most_images)

    async def _answer_all(self, questions: list[Question]) -> list[dict[str, Any]]:
        """Each for itself: one bad image is no fault of the others. No answer at all is none for the request."""
        found = await asyncio.gather(
            *(self._service.answering.answer(question) for question in questions), return_exceptions=True
        )
        told, refusals = [], []
        for question, each in zip(questions, found, strict=True):
            if isinstance(each, Answer):
                told.append(each.as_json())
            elif isinstance(each, Refusal):
                refusals.append(each)
                told.append(refusal_body(each, request_id=question.id))
            else:
                raise each
        if len(refusals) == len(found) and refusals[0].code != "unusable_image":
            raise refusals[0]
        return told

    async def _unless_gone(self, request: Request, work: Awaitable[Any]) -> Any:
        """What `work` gives, or its end as soon as whoever asked has gone."""
        mine = asyncio.current_task()
        assert mine is not None
        watching = asyncio.ensure_future(_cancel_when_gone(request, mine))
        try:
            return await work
        except asyncio.CancelledError:
            if watching.done():
                mine.uncancel()
                raise Refusal("bad_request", "whoever asked is gone") from None
            raise
        finally:
            watching.cancel()


def application(service: Service, keys: Keys, *, pages: list[Route], beside: Sequence[BaseRoute] = ()) -> Starlette:
    """The application: predicting, figures, routes, and what is handed in: pages, and what guards itself."""
    api, figures, routes = Api(service), FiguresApi(service), RoutesApi(service)

    guarded_by_keys = keys.needed_for("predict") and keys.needed_for("administer")
    local = is_loopback(service.settings.host) and not guarded_by_keys
    return Starlette(
        routes=[
            Route("/v1/predict", guarded(keys, "predict", api.predict), methods=["POST"]),
            Route("/v1/look", guarded(keys, "predict", api.look), methods=["POST"]),
            Route("/v1/feedback", guarded(keys, "predict", figures.feedback), methods=["POST"]),
            Route("/v1/models", guarded(keys, "predict", figures.models)),
            Route("/v1/health", guarded(keys, "administer", figures.health)),
            Route("/v1/metrics/{arm}", guarded(keys, "administer", figures.metrics)),
            Route("/v1/routes", guarded(keys, "administer", routes.read_or_change), methods=["GET", "PUT"]),
            Route("/metrics", guarded(keys, "administer", figures.prometheus)),
            Route("/healthz", guarded(keys, None, figures.alive)),
            Route("/readyz", guarded(keys, None, figures.ready)),
            *(Route(page.path, guarded(keys, "administer", page.endpoint), methods=["GET"]) for page in pages),
            *beside,
        ],
        middleware=[Middleware(Protection, local_names_only=local)],
        exception_handlers={HTTPException: _http_fault, Exception: _unexpected(service)},
    )


async def _cancel_when_gone(request: Request, task: "asyncio.Task[Any]") -> None:
    """The body has been read: what comes now is only the end of the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _timing(answer: Answer, whole: float) -> dict[str, str]:
    said = answer.said
    waiting = max(0.0, said.seconds - said.decoding - said.computing)
    parts = {"wait": waiting, "decode": said.decoding, "compute": said.computing, "total": whole}
    return {"server-timing": ", ".join(f"{name};dur={1000 * seconds:.2f}" for name, seconds in parts.items())}


def _http_fault(_request: Request, error: Exception) -> Response:
    code = {404: "not_found", 405: "method_not_allowed"}.get(getattr(error, "status_code", 400), "bad_request")
    said = {"not_found": "there is nothing at this address", "method_not_allowed": "not with this method"}
    response = refused(Refusal(code, said.get(code, "the request cannot be understood"), hint="see /docs"))
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _unexpected(service: Service) -> Callable[[Request, Exception], Response]:
    def handle(request: Request, error: Exception) -> Response:
        number = uuid.uuid4().hex[:8]
        service.errors.add("(server)", type(error).__name__, f"{request.method} request failed, number {number}")
        return refused(Refusal("internal", f"the server made a mistake, number {number} in its log"))

    return handle
