"""Reading the routes in force, and writing the next revision."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from vitrail.serving.bodies import capped_body
from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import as_json
from vitrail.serving.service import Service
from vitrail.traffic.routes import Routes

LARGEST_ROUTES = 256 * 1024
_HINT = (
    '{"routes": {"arms": [{"name": "a", "model": "a", "role": "stable", "weight": 1}]}, "packages": {"a": "FOLDER"}}'
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
        content = await capped_body(request, most_bytes=LARGEST_ROUTES, seconds=10.0)
        try:
            told: Any = json.loads(content)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict) or not isinstance(told.get("routes"), dict) or set(told) - {"routes", "packages"}:
            raise Refusal("bad_request", "routes and packages were expected", hint=_HINT)
        revision = await self._service.state.latest_revision() + 1
        written = Routes.from_json({**told["routes"], "revision": revision, "by": "console"})
        packages = self._packages(written, told.get("packages") or {})
        await self._service.state.write_routes(written, packages)
        return as_json({"routes": written.as_json()}, status=202)

    def _packages(self, routes: Routes, given: Any) -> dict[str, str]:
        """Of models that are new, or to be loaded as they are now; what is served already need not be named."""
        if not isinstance(given, dict) or not all(isinstance(folder, str) for folder in given.values()):
            raise Refusal("bad_request", "packages are no object of folders", hint=_HINT)
        there = {name: model.order.package for name, model in self._service.fleet.models.items()}
        whole = {**there, **given}
        missing = [name for name in routes.models if name not in whole]
        if missing:
            raise Refusal("bad_request", f"the package of model {missing[0]} is not told", hint=_HINT)
        return {name: folder for name, folder in given.items() if name in routes.models}
