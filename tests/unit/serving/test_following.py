"""A server follows the routes: what cannot be loaded is tried again, given up for what is newer, and reported."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from vitrail.basics.clock import SystemClock
from vitrail.serving.reporting import ServerStanding, server_standing
from vitrail.serving.service import Service
from vitrail.serving.settings import ServingSettings
from vitrail.serving.shared_state import SharedState
from vitrail.traffic.routes import Arm, Routes

ANTS = Arm("ants", "ants", weight=1.0)
FIRST = Routes(1, (ANTS,))
WITH_NEW = replace(FIRST, revision=2, arms=(ANTS, Arm("next", "new", "shadow")))
STAND_IN = """
import os
if sys.argv[-1] == "new":
    while os.path.exists("{folder}/slow"): time.sleep(0.01)
    if os.path.exists("{folder}/broken"): say({{"kind": "refused", "reason": "the disk is full"}}), sys.exit()
say({{"kind": "ready"}})
while True: hear()
"""


@pytest.fixture
def folder(stands_in: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a file `slow` or `broken` says how the model `new` is loaded."""
    monkeypatch.setattr("vitrail.serving.service.FIRST_RETRY_SECONDS", 0.05)
    stands_in(STAND_IN.format(folder=tmp_path))
    yield tmp_path
    (tmp_path / "slow").unlink(missing_ok=True)


def followed(work: Callable[[Service, SharedState], Coroutine[Any, Any, None]]) -> list[str]:
    """What a server said that followed while `work` wrote routes."""

    async def live() -> None:
        settings = ServingSettings.gather(restart_seconds=0.05)
        state = SharedState(SystemClock(), settings.truths)
        service = Service(FIRST, {"ants": "nowhere"}, settings, state, tell=said.append)
        await service.start()
        try:
            async with asyncio.timeout(10):
                await until(lambda: service.is_ready or service.fleet.is_ready)
                await work(service, state)
        finally:
            await service.stop(seconds=0.0)

    said: list[str] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live())
    return said


def standing(service: Service) -> ServerStanding:
    return server_standing(service.fleet, service.breakers, service.refused)


def models(service: Service) -> dict[str, tuple[str, bool, int]]:
    return {each.model: (each.state, each.healthy, each.ends) for each in standing(service).models}


async def until(what: Callable[[], bool]) -> None:
    while not what():
        await asyncio.sleep(0.01)


def test_a_revision_that_cannot_be_loaded_is_reported_and_tried_again_until_its_cause_has_gone(folder: Path) -> None:
    (folder / "broken").touch()

    async def work(service: Service, state: SharedState) -> None:
        await state.write_routes(WITH_NEW, {"new": "nowhere"})
        await until(lambda: standing(service).refused == 2)
        assert standing(service).revision == 1
        assert standing(service).refused_why == "new could not be loaded: the disk is full"
        assert models(service)["ants"] == ("ready", True, 0) and models(service)["new"][:2] == ("down", False)
        (folder / "broken").unlink()
        await until(lambda: standing(service).revision == 2)
        assert standing(service).refused is None
        assert models(service) == {"ants": ("ready", True, 0), "new": ("ready", True, 0)}

    told = [line for line in followed(work) if line.startswith("routes")]
    assert told == ["routes   revision 2 is not in force here: new could not be loaded: the disk is full"]


def test_a_newer_revision_waits_for_none_that_is_still_loading(folder: Path) -> None:
    (folder / "slow").touch()

    async def work(service: Service, state: SharedState) -> None:
        await state.write_routes(WITH_NEW, {"new": "nowhere"})
        await until(lambda: models(service).get("new") == ("loading", False, 0))
        loading = service.fleet.coming["new"]
        await state.write_routes(replace(WITH_NEW, revision=3, note="as before"), {})
        await asyncio.sleep(0.05)
        assert service.fleet.coming["new"] is loading, "what both need goes on loading"
        await state.write_routes(replace(FIRST, revision=4), {})
        await until(lambda: standing(service).revision == 4)
        assert list(models(service)) == ["ants"] and service.refused is None
        assert (folder / "slow").exists(), "nobody has waited"

    assert "model    new was stopped" in followed(work)


def test_a_model_whose_process_dies_is_loading_until_it_could_not_be_loaded_again(folder: Path) -> None:
    async def work(service: Service, state: SharedState) -> None:
        await state.write_routes(WITH_NEW, {"new": "nowhere"})
        await until(lambda: standing(service).revision == 2)
        memory = {each.model: each.memory_bytes for each in standing(service).models}
        assert 2**20 < (memory["new"] or 0) < 2**27
        (folder / "broken").touch()
        service.fleet.models["new"]._life._process.kill()  # type: ignore[union-attr]
        seen = []
        while models(service)["new"][0] != "down":
            seen.append(models(service)["new"])
            await asyncio.sleep(0.002)
        assert seen[-1] == ("loading", False, 1)
        (folder / "broken").unlink()
        await until(lambda: models(service)["new"][0] == "ready")
        assert models(service)["new"][2] >= 2, "that it was loaded in vain counts as well"

    followed(work)
