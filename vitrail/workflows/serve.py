"""`vitrail serve`: several models behind one address, until somebody ends it."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def serve(
    models: Sequence[str],
    *,
    tell: Callable[[str], None],
    **settings: Any,
) -> None:
    from vitrail.serving.app import application
    from vitrail.serving.keys import Keys
    from vitrail.serving.routes import Arm, Routes
    from vitrail.serving.server import listening_socket, serve_until_ended
    from vitrail.serving.service import Service
    from vitrail.serving.settings import ServingSettings
    from vitrail.serving.shared_state import SharedState

    chosen = ServingSettings.gather(**settings)
    packages, arms = {}, []
    for each in models:
        path, _, w = each.rpartition("=")
        name = Path(path).resolve().parent.name
        packages[name] = path
        arms.append(Arm(name, name, weight=float(w)))
    routes = Routes(1, tuple(arms))

    async def run() -> None:
        service = Service(routes, packages, chosen, SharedState())
        app = application(service, Keys(None, None, {}), pages=[])
        listening = listening_socket(chosen.host, chosen.port)
        tell(f"http://{chosen.host}:{listening.getsockname()[1]}")
        await serve_until_ended(service, app, listening, told=tell)

    asyncio.run(run())
