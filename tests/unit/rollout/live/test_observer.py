"""What a look brings: who lives, what counts for this phase, and what is not known."""

import pytest
import sqlalchemy as sql

from tests.unit.monitoring.false_clock import FalseClock
from tests.unit.rollout.live.service import Behaviour, HandServer
from vitrail.monitoring.exposures import ArmUsers, ExposureStore, hashed_user
from vitrail.monitoring.server_reports import ModelReport, ServerReport
from vitrail.monitoring.tally import Tally
from vitrail.rollout.evidence import Exposures
from vitrail.rollout.live.arm_sums import ArmSums, watermark_now
from vitrail.rollout.live.kept_answers import index_answers, judged_now, pairs_now
from vitrail.rollout.live.living_servers import LivingServers, crashes_of, ends_after, health_of, held_memory


def report(server="one", beat=1, *, source=None, revision=1, ended=False, **models):
    told = tuple(ModelReport(name, "", *values) for name, values in models.items())
    return ServerReport(server, source or server, beat, revision, None, "", told, ended)


READY = ("ready", True, "answers", 0, 400)


def test_a_server_lives_while_its_counter_grows_as_the_own_clock_sees_it():
    clock = FalseClock()
    servers = LivingServers(clock)
    assert servers.among([report(beat=7), report("dead", 3)]) == [] and not servers.is_settled
    clock.go_on(2)
    assert [each.server for each in servers.among([report(beat=8), report("dead", 3)])] == ["one"]
    assert not servers.is_settled  # the other one may just be slow
    clock.go_on(2)
    servers.among([report(beat=9), report("dead", 3)])
    assert servers.is_settled
    clock.set_wall(-86_400.0)
    clock.go_on(10.1)
    assert servers.among([report(beat=9), report("dead", 3)]) == []
    assert [each.beat for each in servers.among([report(beat=10), report("dead", 3)])] == [10]
    assert servers.among([report(beat=11, ended=True)]) == []


def test_a_model_is_as_it_is_where_it_is_worst():
    loading, down = ("loading", False, "is begun anew", 1, None), ("down", False, "out of memory", 3, None)
    health = health_of({"one": ModelReport("m", "", *READY), "two": ModelReport("m", "", *loading)}, crashes=2)
    assert (health.state, health.healthy, health.why, health.crashes) == ("loading", False, "is begun anew (on two)", 2)
    assert health_of({"one": ModelReport("m", "", *down), "two": ModelReport("m", "", *loading)}).state == "down"
    open_breaker = ModelReport("m", "", "ready", False, "left alone after failures", 0, None)
    assert not health_of({"one": ModelReport("m", "", *READY), "two": open_breaker}).healthy
    assert health_of({"one": None}).why == "unknown there yet"


def test_crashes_are_counted_from_when_the_rollout_showed_the_candidate_to_a_server():
    def told(source, ends):
        return report(source=source, m=("ready", True, "", ends, None))

    ends = ends_after({}, [told("a", 3), report(source="b")], "m", is_known=False)
    assert crashes_of(ends) == 0
    ends = ends_after(ends, [told("a", 4), told("b", 1)], "m", is_known=True)
    assert crashes_of(ends) == 2
    ends = ends_after(ends, [told("c", 1)], "m", is_known=True)  # a is gone, and its crash is not
    assert crashes_of(ends) == 3


def test_memory_is_compared_on_the_server_where_it_differs_most():
    one = {"a": ModelReport("m", "", "ready", True, "", 0, 500), "b": ModelReport("m", "", "ready", True, "", 0, 900)}
    other = {"a": ModelReport("s", "", "ready", True, "", 0, 400), "b": ModelReport("s", "", "ready", True, "", 0, 450)}
    held = held_memory(one, other)
    assert (held.candidate, held.stable) == (900, 450)
    loading = {"a": ModelReport("m", "", "loading", False, "", 0, 500)}
    assert held_memory(loading, other) is None


@pytest.fixture
def figures(service):
    """A server whose stores are written by hand."""
    return service().servers[0].figures


def of(successes, failures=0):
    return Tally(successes=successes, failures=failures, times={10: successes})


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_only_what_came_above_the_watermark_counts_and_a_slot_that_is_written_again_counts_once(service):
    running = service()
    one, database = running.servers[0].figures, running.database
    one.write_slots([("canary-1", 100, of(5)), ("control-1", 100, of(7))])
    sums = ArmSums(database, ["canary-1", "control-1"], watermark_now(database, ["canary-1", "control-1"]))
    assert sums.read()["canary-1"].total == 0
    one.write_slots([("canary-1", 101, of(3, 1)), ("stable", 101, of(90)), ("control-1", 101, of(4))])
    assert (sums.read()["canary-1"].total, sums.read()["control-1"].total) == (4, 4)
    one.write_slots([("canary-1", 101, of(5, 1)), ("canary-1", 102, of(1))])
    assert sums.read()["canary-1"] == Tally(successes=6, failures=1, times={10: 6})
    restarted = HandServer("one", database, FalseClock(5000.0), {}).figures  # its clock is years behind
    restarted.write_slots([("canary-1", 3, of(2))])
    assert sums.read()["canary-1"].total == 9
    again = ArmSums(database, ["canary-1", "control-1"], {one._source: {"canary-1": 100, "control-1": 100}})
    assert again.read() == sums.read()
    one.write_slots([("canary-1", 102 + 900, of(1))])
    sums.read()
    one.write_slots([("canary-1", 1003, of(1)), ("canary-1", 1002, of(2))])
    assert sums.read()["canary-1"].total == 9 + 2 + 1


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_pairs_and_truths_are_counted_by_the_database_and_only_of_the_arms_that_are_asked_for(service):
    running = service({"flowers-2": Behaviour(says=lambda _: "ant")})
    with running.database.writing() as connection:
        connection.execute(sql.text("DROP INDEX figures_answers_by_arm"))  # as in a database that is older
    index_answers(running.database)
    index_answers(running.database)
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "shadow")
    for server in running.servers:
        server.step()
    pairs = pairs_now(running.database, shadow="shadow-1", beside="flowers-1", classes=["ant", "bee", "wasp"])
    assert (pairs.pairs, pairs.agree, pairs.judged, pairs.fixed, pairs.broken) == (80, 40, 80, 0, 40)
    assert (pairs.by_class["bee"].broken, pairs.by_class["wasp"].pairs) == (40, 0)
    assert judged_now(running.database, ["shadow-1", "nobody"]) == {"shadow-1": (80, 40)}
    assert pairs_now(running.database, shadow="shadow-2", beside="flowers-1", classes=["ant"]).pairs == 0


def test_a_truth_that_is_told_again_otherwise_makes_no_figure_impossible(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    server = running.servers[0]

    def answer_and_tell(truths):
        from vitrail.monitoring.truth import AnsweredRequest, ToldTruth

        server.figures.write_answers([AnsweredRequest(key, 1.0, "canary-1", "ant", ()) for key in truths])
        server.figures.write_truths({key: ToldTruth(truth, 1.0) for key, truth in truths.items()}, now=1.0)
        return running.step().evidence.candidate_counts

    running.step()
    first = answer_and_tell({"1": "bee", "2": "ant", "3": "ant"})
    assert (first.judged, first.wrong) == (3, 1)
    again = answer_and_tell({"1": "ant", "4": "ant"})
    assert (again.judged, again.wrong) == (4, 1)
    last = answer_and_tell({"2": "bee", "3": "bee"})
    assert (last.judged, last.wrong) == (4, 1)
    assert running.kept.state.unmeasured == 0


def test_without_a_server_nothing_is_known_and_four_looks_later_a_person_is_asked(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    running.servers[0].ended = True
    running.servers[0].report()
    running.servers.clear()
    for _ in range(20):
        kept = running.step()
    assert (kept.state.pause.kind, kept.state.result) == ("cannot measure", None)
    said = kept.state.decisions[-1].sentences[0]
    assert said == "figures cannot be read: no server reports (4 checks in a row)"
    assert kept.state.unwell_seconds is None


def test_a_damaged_row_is_no_figure_and_a_later_look_reads_it_again(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage" and kept.state.looked.candidate.requests)
    with running.database.writing() as connection:
        connection.execute(sql.text("UPDATE figures_slots SET tally = '{', batch = batch + 100 WHERE arm = 'canary-1'"))
    kept = running.step()
    assert "a row of 'canary-1' that one/" in kept.evidence.unreadable and kept.state.unmeasured == 1


def test_a_server_that_has_not_taken_up_the_routes_holds_it(service):
    running = service(servers=("one", "two"))
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage" and kept.state.counting_since)
    running.servers[1].follow = lambda: None
    before = running.run(until=lambda kept: kept.state.stage == 1)
    for _ in range(10):
        kept = running.step()
    assert kept.state.stage == before.state.stage and kept.state.counting_since is None
    assert kept.state.waiting == ("routes: not every server serves by the new routes yet",)
    del running.servers[1].follow
    assert running.run().state.result == "success"


def test_a_damaged_report_is_a_failed_check_and_no_fault_of_the_candidate(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    with running.database.writing() as connection:
        connection.execute(sql.text("INSERT INTO server_reports VALUES ('two/x', 'two', 1, 0.0, '{')"))
    kept = running.step()
    assert kept.evidence.unreadable.startswith("the report of two/x cannot be read: ") and kept.state.unmeasured == 1
    with running.database.writing() as connection:
        connection.execute(sql.text("DELETE FROM server_reports WHERE source = 'two/x'"))
    assert running.run().state.result == "success"


def test_users_who_do_not_come_in_equal_shares_pause_a_stage_and_those_of_other_routes_do_not(service):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    arms, revision = running.kept.arms, running.routes.latest_revision()
    users = ExposureStore(running.database)

    def come(revision: int, canary: int, control: int) -> None:
        told = [(arms.canary, range(canary)), (arms.control, range(canary, canary + control))]
        users.write(
            "one",
            [
                ArmUsers(revision, arm, 0, tuple(sorted(hashed_user(str(n), "vitrail") for n in numbers)))
                for arm, numbers in told
            ],
        )

    come(revision - 1, 300, 100)
    come(revision, 205, 195)
    fine = running.step()
    assert fine.state.pause is None and fine.evidence.exposures == Exposures(205, 195, 0)
    come(revision, 300, 100)
    paused = running.step().state.pause
    assert paused is not None and (paused.kind, paused.gate) == ("integrity", "sample ratio")
    assert "candidate 300 (expected 200.0), control 100 (expected 200.0)" in paused.sentence
