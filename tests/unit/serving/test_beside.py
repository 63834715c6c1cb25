"""What stands beside the answering: panels, addresses and what runs as long as a server does."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tests.unit.serving.made_up_service import made_up_service
from vitrail.basics.database import DatabaseConflict
from vitrail.basics.errors import InputError, SystemFault
from vitrail.serving.app import application
from vitrail.serving.beside import Beside, standing_beside
from vitrail.serving.console.panels import Panel
from vitrail.serving.guarding import guarded
from vitrail.serving.keys import Keys
from vitrail.serving.replies import as_json
from vitrail.traffic.routes import Arm

KEY = "a key of an administrator"
LIFE: list[str] = []


class Lamp:
    """Something beside a server that can be switched on."""

    panels = (Panel("lamp", "Lamp", lambda _view: "<p>off</p>"),)

    def __init__(self, name: str = "lamp", fault: Exception | None = None) -> None:
        self.name, self.fault = name, fault

    def routes(self, keys: Keys) -> Sequence[BaseRoute]:
        return [Route("/lamp", guarded(keys, "administer", self.switch), methods=["POST"])]

    async def switch(self, request: Request) -> Response:
        if self.fault is not None:
            raise self.fault
        return as_json({"on": (await request.body()).decode()})

    def start(self) -> None:
        LIFE.append(f"{self.name} on")

    def stop(self) -> None:
        LIFE.append(f"{self.name} off")


def asked(lamp: Lamp, **headers: str) -> httpx.Response:
    keys = Keys(None, None, {"VITRAIL_ADMIN_KEY": KEY})
    app = application(made_up_service((Arm("a", "a", weight=1.0),)), keys, pages=[], beside=lamp.routes(keys))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.post("/lamp", content=b"yes", headers=headers)

    return asyncio.run(ask())


def test_an_address_beside_the_server_has_the_same_door() -> None:
    assert isinstance(Lamp(), Beside)
    assert asked(Lamp(), authorization=f"Bearer {KEY}").json() == {"on": "yes"}
    assert asked(Lamp()).status_code == 401 and asked(Lamp(), authorization="Bearer of another").status_code == 401


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (InputError("it is dark", hint="wait"), 400, "it is dark"),
        (SystemFault("postgresql://secret: gone"), 503, "what servers share cannot be reached now"),
        (DatabaseConflict("/secret/place"), 409, "somebody else was quicker"),
    ],
)
def test_what_goes_wrong_behind_it_is_told_in_the_same_words(fault: Exception, status: int, said: str) -> None:
    reply = asked(Lamp(fault=fault), authorization=f"Bearer {KEY}")
    assert (reply.status_code, reply.json()["error"]["message"]) == (status, said)


def test_what_stands_beside_a_server_ends_with_it_the_last_first_whatever_happens() -> None:
    LIFE.clear()
    with pytest.raises(SystemFault), standing_beside([Lamp("one"), Lamp("two")]):
        raise SystemFault("the server could not be begun")
    assert LIFE == ["one on", "two on", "two off", "one off"]
