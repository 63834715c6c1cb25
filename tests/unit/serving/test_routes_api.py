"""Who changes routes is told what stands against it, before anything is written."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.unit.serving.made_up_service import made_up_service
from vitrail.serving.app import application
from vitrail.serving.keys import Keys
from vitrail.traffic.routes import Arm, Routes

ANTS = Arm("ants", "ants", weight=1.0)
NEXT = {"arms": [ANTS.as_json()], "note": "mine"}
TRIED = Routes(7, (ANTS, Arm("canary", "ants-8", "canary", share=0.05)), by="rollout")
FINISHED = replace(TRIED, arms=(ANTS,))


def put(latest: Routes, told: Any) -> tuple[int, str]:
    """Status and words, or the note of what was written."""
    service = made_up_service((ANTS,))
    app = application(service, Keys(None, None, {}), pages=[])

    async def ask() -> httpx.Response:
        await service.state.begin(latest, {"ants": "/packages/ants", "ants-8": "/packages/ants-8"}, service.live)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            reply = await client.put("/v1/routes", content=json.dumps(told))
        now = await service.state.latest_routes()
        assert now is not None and now.revision == latest.revision + (reply.status_code == 202)
        return reply

    reply = asyncio.run(ask())
    said = reply.json()
    return reply.status_code, said["routes"]["note"] if reply.status_code == 202 else said["error"]["message"]


@pytest.mark.parametrize(
    ("latest", "told", "answer"),
    [
        (FINISHED, {"routes": NEXT}, (202, "mine")),
        (FINISHED, {"routes": NEXT, "based_on": 7}, (202, "mine")),
        (
            FINISHED, {"routes": NEXT, "based_on": 6, "force": True},
            (409, "revision 7 was written meanwhile, this one is based on revision 6"),
        ),
        (TRIED, {"routes": NEXT, "based_on": 7}, (409, "a rollout is trying ants-8 (canary)")),
        (TRIED, {"routes": NEXT, "force": True}, (202, "mine")),
        (replace(TRIED, by="console"), {"routes": NEXT}, (202, "mine")),
        (
            FINISHED, {"routes": NEXT, "packages": {"ants": "runs/ants/package"}},
            (400, "the package of model ants is no absolute path: 'runs/ants/package'"),
        ),
        (FINISHED, {"routes": NEXT, "packages": {"ants": "/packages/other"}}, (202, "mine")),
        (
            FINISHED, {"routes": NEXT, "packages": {"ants": "/a\0b"}},
            (400, "the package of model ants is no absolute path: '/a\\x00b'"),
        ),
        (FINISHED, {"routes": NEXT, "based_on": True}, (400, "based_on is a number, force is true or false")),
        (FINISHED, {"routes": NEXT, "force": "yes"}, (400, "based_on is a number, force is true or false")),
        (FINISHED, {"routes": NEXT, "why": ""}, (400, "routes and packages were expected")),
    ],
)  # fmt: skip
def test_routes_are_written_where_nothing_stands_against_it(
    latest: Routes, told: Any, answer: tuple[int, str]
) -> None:  # fmt: skip
    assert put(latest, told) == answer
