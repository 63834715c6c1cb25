"""What stands before every request: whose host it names, where it comes from, and what browsers are told of answers."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import refused

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class Protection:
    """Headers for every answer; and refuses what a foreign web page sends through somebody's browser.

    A page on the internet can send requests to a server on loopback, and by a name that it makes point there it could
    read the answers. So where no key is needed, only local names are answered; and a request that changes something or
    costs something and comes from a page must come from a page of ours.

    Args:
        app: what is protected.
        local_names_only: whether only requests by a local name are answered.
    """

    def __init__(self, app: ASGIApp, *, local_names_only: bool) -> None:
        self._app, self._local = app, local_names_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _RAW_HEADERS if each[0] not in own)]
            await send(message)

        try:
            self._refuse_foreigner(scope["method"], Headers(scope=scope))
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send_protected)
            return
        await self._app(scope, receive, send_protected)

    def _refuse_foreigner(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._local and not is_loopback(_name_of(host)):
            raise Refusal("forbidden", "this server answers by a local name only", hint="http://127.0.0.1:PORT")
        origin = headers.get("origin")
        if origin is not None and method not in ("GET", "HEAD") and _place_of(origin) != host.lower():
            raise Refusal("forbidden", "requests of other pages are not answered")


def _place_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name_of(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address that is listened on, or that a request names.

    Numbers are looked at, not how they begin: `127.0.0.1.example.org` is a name that anybody may own.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
