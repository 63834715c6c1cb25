"""Running a server until somebody ends it: what it took is answered, and what is new is refused, in that order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from vitrail.basics.errors import InputError, SystemFault
from vitrail.serving.connections import GuardedProtocol
from vitrail.serving.service import Service

NOTICE_SECONDS = 1.0
"""Between saying "not ready" and taking no more connections, so that a load balancer can notice; none after Ctrl-C."""

MOST_CONNECTIONS = 1000


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens, taken before anything is loaded.

    Raises:
        InputError: the address is no address of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise InputError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}",
            hint="another --port, or 0 for a free one",
        ) from error
    return listening


async def serve_until_ended(
    service: Service, app: Starlette, listening: socket.socket, *, told: Callable[[str], None]
) -> None:
    """Begin, answer, and end when SIGTERM or Ctrl-C comes; a second one ends at once.

    Raises:
        SystemFault: the server could not be begun.
    """
    seconds = service.settings.drain_seconds
    config = uvicorn.Config(
        app, http=GuardedProtocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=30, limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=max(1, round(seconds)),
    )  # fmt: skip
    server = _Server(config)
    ended = asyncio.Event()
    with _ending(service, server, ended, told):
        await service.start()
        answering = asyncio.create_task(server.serve(sockets=[listening]), name="HTTP")
        try:
            await answering
        finally:
            await service.stop(seconds=min(seconds, 5.0))
            listening.close()
    if not server.started:
        raise SystemFault("the server could not be begun", hint="see above")


class _Server(uvicorn.Server):
    """uvicorn's server, without its own handling of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours."""
        yield


@contextlib.contextmanager
def _ending(service: Service, server: _Server, ended: asyncio.Event, told: Callable[[str], None]) -> Iterator[None]:
    """The first signal ends gracefully, the second at once."""
    loop = asyncio.get_running_loop()

    async def end(number: int) -> None:
        service.draining = True
        if number == signal.SIGTERM:
            await asyncio.sleep(NOTICE_SECONDS)
        server.should_exit = True

    def hear(number: int, _frame: FrameType | None) -> None:
        if service.draining:
            server.force_exit = True
            server.should_exit = True
            return
        told("ending: what was taken is still answered; once more ends at once")
        loop.call_soon_threadsafe(lambda: loop.create_task(end(number)))

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
