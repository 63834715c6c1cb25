"""Running a server until somebody ends it: what it took is answered, and what is new is refused, in that order."""

import asyncio
import contextlib
import functools
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from vitrail.basics.errors import InputError, SystemFault
from vitrail.serving.connections import RESERVED, ConnectionBounds, GuardedProtocol
from vitrail.serving.service import Service

NOTICE_SECONDS = 1.0
"""Between saying "not ready" and taking no more connections, so that a load balancer can notice; none after Ctrl-C."""

OWN_FILES = 128
"""Open files that the server itself needs: for models, the database, and what Python opens."""


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


def possible_connections(most: int) -> int:
    """As many as are asked for, or as the operating system lets this process have files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = most + RESERVED + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft - RESERVED - OWN_FILES))


async def serve_until_ended(
    service: Service, app: Starlette, listening: socket.socket, *, told: Callable[[str], None]
) -> None:
    """Begin, answer, and end when SIGTERM or Ctrl-C comes; a second one ends at once.

    Raises:
        SystemFault: the server could not be begun.
    """
    seconds = service.settings.drain_seconds
    limits = service.settings.limits
    bounds = ConnectionBounds(limits.head_seconds, limits.body_seconds, possible_connections(limits.most_connections))
    config = uvicorn.Config(
        app, http=functools.partial(GuardedProtocol, bounds=bounds),  # type: ignore[arg-type]
        ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=30, timeout_graceful_shutdown=max(1, round(seconds)),
    )  # fmt: skip
    server = _Server(config)
    with _ending(service, server, told):
        await service.start()
        answering = asyncio.create_task(server.serve(sockets=[listening]), name="HTTP")
        try:
            await answering
        finally:
            await service.stop(seconds=0.0 if server.force_exit else min(seconds, 5.0))
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
def _ending(service: Service, server: _Server, told: Callable[[str], None]) -> Iterator[None]:
    """The first signal ends gracefully, the second at once."""
    loop = asyncio.get_running_loop()

    async def end(number: int) -> None:
        told("ending: what was taken is still answered; once more ends at once")
        if number == signal.SIGTERM:
            await asyncio.sleep(NOTICE_SECONDS)
        server.should_exit = True

    def hear(number: int, _frame: FrameType | None) -> None:
        if service.draining:
            server.force_exit = True
            server.should_exit = True
            return
        service.draining = True
        loop.call_soon_threadsafe(lambda: loop.create_task(end(number)))

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
