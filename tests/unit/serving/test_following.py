"""A server follows the routes: what cannot be loaded is tried again, given up for what is newer, and reported."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.serving import small_package
from vitrail.basics.database import opened_database
from vitrail.basics.errors import PackageError
from vitrail.models.seal import package_digest
from vitrail.monitoring.server_reports import ServerReport, ServerReports
from vitrail.serving.loaded_model import _loaded
from vitrail.serving.model_order import ModelOrder
from vitrail.serving.reporting import ServerStanding, server_standing
from vitrail.serving.service import Service
from vitrail.serving.settings import ServingSettings
from vitrail.serving.shared_state import SharedState, opened_state
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Arm, Routes
from vitrail.traffic.routes_store import RoutesStore

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
    monkeypatch.setattr("vitrail.serving.service.REPORT_EVERY_SECONDS", 0.05)
    stands_in(STAND_IN.format(folder=tmp_path))
    yield tmp_path
    (tmp_path / "slow").unlink(missing_ok=True)


def followed(
    work: Callable[[Service, SharedState], Coroutine[Any, Any, None]], *, ants: Path = Path("nowhere"), **settings: Any
) -> list[str]:
    """What a server said that followed while `work` wrote routes; it keeps nothing unless told where."""

    async def live() -> None:
        gathered = ServingSettings.gather(restart_seconds=0.05, **{"state": "none", **settings})
        state = opened_state(gathered, server="one")
        service = Service(FIRST, {"ants": str(ants)}, gathered, state, tell=said.append)
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


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("packages") / "ants")


def test_what_a_server_says_of_itself_is_in_the_database_until_it_says_good_bye(folder: Path, package: Path) -> None:
    database = opened_database(folder / "state.sqlite")
    reports, store = ServerReports(database), RoutesStore(database, lambda: 0.0)

    def report() -> ServerReport:
        (found,) = reports.latest()
        return found

    async def work(service: Service, _state: SharedState) -> None:
        await until(lambda: any(model.state == "ready" for each in reports.latest() for model in each.models))
        first = report()
        assert (first.server, first.revision, first.refused, first.ended) == ("one", 1, None, False)
        assert first.models[0].digest == package_digest(package)
        store.write(WITH_NEW, expected=1, models=[KnownModel("new", package, "f" * 64)])
        await until(lambda: report().revision == 2)
        assert report().beat > first.beat and report().source == first.source
        assert {each.model: each.digest for each in report().models}["new"] == "f" * 64, "as it was written"

    followed(work, ants=package, state=str(folder / "state.sqlite"))
    assert report().ended and report().source.startswith("one/")


def test_a_package_that_is_not_the_one_that_was_written_is_refused(package: Path) -> None:
    digest = package_digest(package)
    with pytest.raises(PackageError) as refused:
        _loaded(ModelOrder(str(package), digest="f" * 64))
    assert str(refused.value) == (
        f"the package is not the one that was asked for or rolled out: its digest begins with {digest[:12]}, that "
        "one's with ffffffffffff\nhint: put the right one back, or register and roll out this one"
    )
    assert _loaded(ModelOrder(str(package), digest, runtime="torch", device="cpu")).classes == ["ant", "bee", "wasp"]
