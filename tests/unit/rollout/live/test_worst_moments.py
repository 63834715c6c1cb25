"""The worst moments: a conductor that slept, an abort while figures fail, a server that joins, a double click."""

import pytest

from tests.unit.rollout.live.service import quick_plan
from tests.unit.rollout.live.test_conductor import models_of
from vitrail.basics.errors import InputError
from vitrail.monitoring.server_reports import ModelReport, ServerReport
from vitrail.rollout.live.claim import Overtaken
from vitrail.traffic.routes_store import RoutesStore


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_routes_of_a_conductor_that_was_overtaken_in_the_middle_of_a_pass_are_refused(service, monkeypatch):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    old, latest = running.conductor, RoutesStore.latest
    monkeypatch.setattr(RoutesStore, "latest", lambda self: stopped(self))

    def stopped(self):
        """The old conductor sleeps here, as after SIGSTOP; meanwhile another one takes over, and aborts."""
        monkeypatch.setattr(RoutesStore, "latest", latest)
        running.store.order(1, "abort", by="Ada", why="wrong ward")
        running.conduct()
        assert running.run().state.result == "canary_failed"
        return self.latest()

    with pytest.raises(Overtaken):
        old.step()
    assert models_of(running) == {"flowers-1": 1.0}


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_a_rollout_that_looked_at_routes_of_another_one_is_not_begun_when_that_was_stopped(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "bake")
    looked_at = running.routes.latest()
    running.store.order(1, "abort", by="Ada", why="wrong ward")
    assert running.run().state.result == "rollout_failed_at_bake"
    version = running.versions.version("flowers@2")
    with pytest.raises(InputError, match="of the routes was written while this began on revision 6\nhint: start it a"):
        running.store.begin(version, looked_at, plan=quick_plan(), by="Ada", versions="")
    assert models_of(running) == {"flowers-1": 1.0} and [each.number for each in running.store.rollouts(9)] == [1]


def test_an_abort_is_obeyed_although_figures_cannot_be_counted(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage" and kept.state.looks)
    with running.database.writing() as connection:  # as a statement that takes longer than it may
        connection.exec_driver_sql("DROP TABLE figures_answers")
    running.conductor.step()
    running.store.order(1, "abort", by="Ada", why="wrong ward")
    assert running.conductor.step().kept.state.result == "canary_failed"
    assert models_of(running) == {"flowers-1": 1.0}


def test_figures_that_cannot_be_counted_are_failed_checks_and_pause_it(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage" and kept.state.looks)
    with running.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE figures_answers")
    for _ in range(4):
        running.servers[0].report()
        running.clock.go_on(5.0)
        kept = running.conductor.step().kept
    assert kept.state.pause.kind == "cannot measure" and "no such table" in kept.state.pause.sentence


def test_users_return_although_the_report_of_another_server_cannot_be_read(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage" and kept.state.looks)
    with running.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO server_reports VALUES ('two/1', 'two', 3, 1.0, '{\"a newer\": 1}')")
    assert running.step().state.waiting[0].startswith("cannot measure: figures cannot be read: the report of two/1")
    running.store.order(1, "abort", by="Ada", why="wrong ward")
    assert running.step().state.result == "canary_failed" and models_of(running) == {"flowers-1": 1.0}


def test_a_server_that_joins_and_loads_the_candidate_for_minutes_holds_the_rollout_and_does_not_stop_it(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage" and kept.state.looks)
    one = running.servers[0]
    for beat in range(1, 30):
        models = (
            ModelReport("flowers-1", "", "ready", True, "answers", 0, None),
            ModelReport("flowers-2", "", "loading", False, "is being loaded", 0, None),
        )
        one.reports.write(ServerReport("two", "two/1", beat, one.revision, None, "", models))
        kept = running.step()
    assert kept.state.waiting == ("candidate: the candidate does not answer everywhere yet: is being loaded (on two)",)
    one.reports.write(ServerReport("two", "two/1", 40, one.revision, None, "", (), ended=True))
    assert running.run().state.result == "success"


def test_a_promotion_that_is_clicked_twice_passes_one_stage_and_an_abort_is_always_taken(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage" and kept.state.looks)
    running.store.order(1, "promote", by="Ada", why="looked at it", place="canary")
    running.step()
    with pytest.raises(InputError, match="the rollout has gone on to stage half meanwhile\nhint: look at it, and prom"):
        running.store.order(1, "promote", by="Ada", why="looked at it", place="canary")
    assert running.kept.state.stage == 1 and running.kept.state.order is None
    running.store.order(1, "abort", by="Ada", why="wrong ward", place="canary")
    assert running.step().state.result == "rollout_failed_at_half"
