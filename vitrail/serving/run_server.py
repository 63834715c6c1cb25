"""A server from what is asked for to its end: the address, the keys, the state, the models, the HTTP."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uvloop

from vitrail.basics.errors import InputError
from vitrail.pages.numbers import percent
from vitrail.serving.api_pages import api_pages
from vitrail.serving.app import application
from vitrail.serving.beside import Beside, standing_beside
from vitrail.serving.console.pages import PANELS, Console
from vitrail.serving.keys import Keys
from vitrail.serving.protection import is_loopback
from vitrail.serving.served_models import ServedModels
from vitrail.serving.server import listening_socket, serve_until_ended
from vitrail.serving.service import Service
from vitrail.serving.settings import ServingSettings
from vitrail.serving.shared_state import opened_state


def run_server(
    models: ServedModels, settings: ServingSettings, *, environment: Mapping[str, str], tell: Callable[[str], None],
    beside: Sequence[Beside] = (),
) -> None:  # fmt: skip
    """Serve until Ctrl-C or SIGTERM.

    Args:
        models: what is asked for.
        settings: of the server.
        environment: keys may stand there.
        tell: receives what an operator wants to read, a line at a time.
        beside: what else its console shows, its addresses answer and it begins and ends.

    Raises:
        InputError: the address is taken, or can be reached from other machines and there is no key.
        SystemFault: the state cannot be opened.
    """
    keys = Keys(settings.predict_key_file, settings.admin_key_file, environment)
    refuse_open_door(settings, keys)
    listening = listening_socket(settings.host, settings.port)
    address = shown_address(settings.host, listening)
    try:
        state = opened_state(settings, server=settings.server or f"{socket.gethostname()}:{_port(listening)}")
        for line in announced(models, settings):
            tell(line)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            packages = {each.model: str(each.folder.resolve()) for each in models.packages}
            service = Service(models.routes(), packages, settings, state, tell=tell)
            with standing_beside(beside):
                runner.run(_serve(service, keys, listening, beside, address=address, tell=tell))
    finally:
        listening.close()


async def _serve(
    service: Service, keys: Keys, listening: socket.socket, beside: Sequence[Beside], *,
    address: str, tell: Callable[[str], None],
) -> None:  # fmt: skip
    console = Console(service, [*(panel for each in beside for panel in each.panels), *PANELS])
    addresses = [address for each in beside for address in each.routes(keys)]
    app = application(service, keys, pages=[*console.routes(), *api_pages(keys)], beside=addresses)
    greeting = asyncio.create_task(_greet(service, address, tell))
    try:
        await serve_until_ended(service, app, listening, told=tell)
    finally:
        greeting.cancel()


async def _greet(service: Service, address: str, tell: Callable[[str], None]) -> None:
    """Say when the first answer can be had, and how."""
    began = time.monotonic()
    while not service.is_ready:
        await asyncio.sleep(0.05)
    tell(f"ready    {address} after {time.monotonic() - began:.1f} s; a browser shows the console there")
    tell(f"try      curl -F image=@photo.jpg {address}/v1/predict")


def announced(models: ServedModels, settings: ServingSettings) -> list[str]:
    """What is going to be served, a line each."""
    whole = sum(each.weight for each in models.packages)
    width = max(len(each.model) for each in models.packages)
    lines = [
        f"serve    {each.model:<{width}}  {percent(each.weight / whole):>6}  {each.folder}" for each in models.packages
    ]  # fmt: skip
    kept = settings.kept_images.keep_images
    images = [] if kept is None else [f"images   those that were answered are kept in {kept}"]
    return [*lines, f"state    {_without_password(settings.state)}", *images]


def refuse_open_door(settings: ServingSettings, keys: Keys) -> None:
    """An address that other machines reach needs a key, unless somebody wants it otherwise.

    Raises:
        InputError: there is none.
    """
    open_to_all = not keys.needed_for("predict") or not keys.needed_for("administer")
    if not is_loopback(settings.host) and open_to_all and not settings.allow_without_key:
        raise InputError(
            f"{settings.host} can be reached from other machines, and there is no key for predicting and for "
            "administration",
            hint="--predict-key-file and --admin-key-file, or --allow-without-key where everybody may",
        )


def shown_address(host: str, listening: socket.socket) -> str:
    """For people: what they type."""
    name = f"[{host}]" if ":" in host else {"0.0.0.0": socket.gethostname()}.get(host, host)
    return f"http://{name}:{_port(listening)}"


def _port(listening: socket.socket) -> int:
    port: Any = listening.getsockname()[1]
    return int(port)


def _without_password(state: str) -> str:
    before, at, after = state.rpartition("@")
    return f"{before.partition('://')[0]}://…@{after}" if at and "://" in before else state
