"""Reading the routes in force, and writing the next revision."""

import json
import os
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from vitrail.serving.bodies import capped_body
from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import as_json
from vitrail.serving.service import Service
from vitrail.traffic.routes import Routes

_MEMBERS = {"routes", "packages", "based_on", "force"}
LARGEST_ROUTES = 256 * 1024
_HINT = (
    '{"routes": {"arms": [{"name": "a", "model": "a", "role": "stable", "weight": 1}]}, "packages": {"a": "/FOLDER"}}'
)


class RoutesApi:
    """For administrators."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def read_or_change(self, request: Request) -> Response:
        """One address, so that whoever comes with another method is told both."""
        return await (self.change(request) if request.method == "PUT" else self.read(request))

    async def read(self, _request: Request) -> Response:
        """The revision in force, what each model is, and which servers have confirmed which."""
        routes = self._service.fleet.routes
        return as_json({
            "routes": None if routes is None else routes.as_json(),
            "packages": {name: model.order.package for name, model in self._service.fleet.models.items()},
            "problem": self._service.problem,
            "confirmed": await self._service.state.confirmations(),
        })  # fmt: skip

    async def change(self, request: Request) -> Response:
        """Write the next revision; it is in force when its models answer, on every server."""
        told = _told(await capped_body(request, most_bytes=LARGEST_ROUTES, seconds=10.0))
        latest = await self._service.state.latest_routes()
        refuse_overtaken(latest, told.get("based_on"))
        revision = 1 if latest is None else latest.revision + 1
        written = Routes.from_json({**told["routes"], "revision": revision, "by": "console"})
        packages = self._packages(written, told.get("packages") or {})
        refuse_rollout(latest, forced=told.get("force", False))
        await self._service.state.write_routes(written, packages)
        return as_json({"routes": written.as_json()}, status=202)

    def _packages(self, routes: Routes, given: Any) -> dict[str, str]:
        """Of models that are new, or to be loaded as they are now; what is served already need not be named."""
        if not isinstance(given, dict) or not all(isinstance(folder, str) for folder in given.values()):
            raise Refusal("bad_request", "packages are no object of folders", hint=_HINT)
        missing = [name for name in routes.models if name not in {*self._service.fleet.models, *given}]
        if missing:
            raise Refusal("bad_request", f"the package of model {missing[0]} is not told", hint=_HINT)
        for name, folder in given.items():
            if not os.path.isabs(folder) or "\0" in folder:
                raise Refusal(
                    "bad_request", f"the package of model {name[:64]} is no absolute path: {folder[:200]!r}",
                    hint="a relative one would mean another folder on every server; begin it with /",
                )  # fmt: skip
        return {name: folder for name, folder in given.items() if name in routes.models}


def refuse_overtaken(latest: Routes | None, based_on: Any) -> None:
    """Whoever says which revision was looked at changes that one only.

    Raises:
        Refusal: another one was written meanwhile.
    """
    now = 0 if latest is None else latest.revision
    if based_on is not None and based_on != now:
        raise Refusal(
            "conflict", f"revision {now} was written meanwhile, this one is based on revision {based_on}",
            hint="look at what is there now, and try again",
        )  # fmt: skip


def refuse_rollout(latest: Routes | None, *, forced: bool) -> None:
    """A rollout that tries a candidate owns the routes: who changes them takes users away from what it measures.

    Raises:
        Refusal: there is one, and nobody said that it does not matter.
    """
    tried = [] if latest is None or latest.by != "rollout" else [arm for arm in latest.arms if arm.role != "stable"]
    if tried and not forced:
        raise Refusal(
            "conflict", f"a rollout is trying {tried[0].model} ({', '.join(arm.name for arm in tried)})",
            hint='pause or abort it first; or "force": true, after which it pauses',
        )  # fmt: skip


def _told(content: bytes) -> dict[str, Any]:
    """The members of a body, not yet believed in full.

    Raises:
        Refusal: they are others, or of other types.
    """
    try:
        told: Any = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("routes"), dict) or set(told) - _MEMBERS:
        raise Refusal("bad_request", "routes and packages were expected", hint=_HINT)
    if type(told.get("based_on", 0)) is not int or type(told.get("force", False)) is not bool:
        raise Refusal("bad_request", "based_on is a number, force is true or false", hint=_HINT)
    return told
