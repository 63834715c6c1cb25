"""What is promised of kept figures, in whichever database."""

import json
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sql

from tests.unit.monitoring.false_clock import FalseClock
from vitrail.basics.database import Database, opened_database
from vitrail.monitoring.figures_store import FiguresStore
from vitrail.monitoring.keeper import FiguresKeeper, KeeperSettings
from vitrail.monitoring.live_figures import LiveFigures
from vitrail.monitoring.tally import Outcome
from vitrail.monitoring.truth import Truths

OPENED: list[Database] = []
"""Databases that are closed after the test."""

ANSWER = Outcome("success", 0.02, "ant", 0.9, False)


def opened(url: str) -> Database:
    OPENED.append(opened_database(url))
    return OPENED[-1]


class Server:
    """Figures of one server, kept."""

    def __init__(self, url: str, clock: FalseClock, name: str = "one", **settings: float) -> None:
        self.clock, self.database = clock, opened(url)
        self.live, self.truths = LiveFigures(clock), Truths(clock)
        self.keeper = FiguresKeeper(
            self.live, self.database, server=name, truths=self.truths, settings=KeeperSettings.parse(**settings)
        )

    def count(self, n: int, arm: str = "a") -> None:
        for _ in range(n):
            self.live.count(arm, ANSWER)

    def total(self, arm: str = "a", seconds: float = 3600.0) -> int:
        return self.live.window(arm, seconds=seconds).total_requests


def rows_in(database: Database, table: str) -> int:
    with database.reading() as connection:
        return connection.execute(sql.text(f"SELECT COUNT(*) FROM {table}")).scalar()


class KeepingPromises:
    """Subclasses have a fixture `url`: of an empty database."""

    @pytest.fixture
    def clock(self) -> FalseClock:
        return FalseClock()

    def test_figures_survive_a_restart_of_the_same_server_and_of_another(self, url, clock) -> None:
        first = Server(url, clock)
        for minute in range(1, 21):
            first.count(minute)
            clock.go_on(60)
        first.count(5)
        assert first.keeper.keep_once(last=True)
        for name in ("one", "another"):
            again = Server(url, clock, name)
            assert again.keeper.keep_once()
            assert again.live.window("a", seconds=3600) == first.live.window("a", seconds=3600)
            assert again.live.series("a") == first.live.series("a")
            assert again.live.arms() == ["a"]

    def test_two_servers_write_at_once_and_both_see_the_sum(self, url, clock) -> None:
        servers = [Server(url, clock, name) for name in ("one", "two")]
        for _ in range(6):
            for each, server in enumerate(servers):
                server.count(10 + each)
            clock.go_on(5)
            threads = [threading.Thread(target=server.keeper.keep_once) for server in servers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
        for server in servers:
            assert server.keeper.state.connected, server.keeper.state.reason
            server.keeper.keep_once()
            assert server.total() == 6 * 21
        assert rows_in(servers[0].database, "figures_slots") == 12

    def test_nothing_is_lost_or_doubled_when_a_slot_is_written_twice(self, url, clock) -> None:
        one, two = Server(url, clock, "one"), Server(url, clock, "two")
        one.count(3)
        one.keeper.keep_once(last=True)
        two.keeper.keep_once()
        assert two.total() == 3
        one.count(4)  # it did not end after all
        clock.go_on(5)
        one.keeper.keep_once()
        two.keeper.keep_once()
        assert one.total() == two.total() == 7

    def test_a_truth_is_found_wherever_the_answer_was_given(self, url, clock) -> None:
        one, two = Server(url, clock, "one"), Server(url, clock, "two")
        one.truths.remember("r1", "a", "ant", {"sex": "f"})
        assert two.truths.tell("r1", "ant") == "looked up"
        two.keeper.keep_once()  # before the answer is written
        assert two.truths.window("a").accuracy.n == 0 and two.truths.unknown_count == 0
        one.keeper.keep_once()
        two.keeper.keep_once()
        one.keeper.keep_once()
        for server in (one, two):
            found = server.truths.window("a")
            assert (found.accuracy.value, found.accuracy.n) == (1.0, 1)
            assert found.attributes["sex"].by_group["f"].n == 1
        one.truths.tell("r1", "bee")
        for server in (one, two, one, two):
            assert server.keeper.keep_once()
            clock.go_on(5)
        for server in (one, two):
            assert (server.truths.window("a").accuracy.value, server.truths.window("a").accuracy.n) == (0.0, 1)
        restarted = Server(url, clock, "three")
        restarted.keeper.keep_once()
        assert restarted.truths.window("a").accuracy.value == 0.0
        assert restarted.truths.tell("r1", "bee") == "looked up"

    def test_a_server_whose_clock_is_a_minute_behind_is_heard_too(self, url, clock) -> None:
        one, behind = Server(url, clock, "one"), Server(url, FalseClock(clock.wall() - 60), "two")
        one.keeper.keep_once()
        behind.truths.remember("r1", "a", "ant")
        behind.truths.tell("r1", "ant")
        behind.count(2)
        behind.keeper.keep_once(last=True)
        one.keeper.keep_once()
        assert one.truths.window("a").accuracy.n == 1 and one.total() == 2

    def test_a_truth_that_is_replaced_keeps_the_time_of_the_first(self, url, clock) -> None:
        one, two = Server(url, clock, "one"), Server(url, clock, "two")
        one.truths.remember("r1", "a", "ant")
        one.truths.tell("r1", "ant")
        one.keeper.keep_once()
        clock.go_on(7200)
        assert two.truths.tell("r1", "bee") == "looked up"
        for server in (two, one, Server(url, clock, "three")):
            server.keeper.keep_once()
            assert server.truths.window("a", seconds=86_400).accuracy.value == 0.0
            assert server.truths.window("a", seconds=3600).accuracy.n == 0

    def test_what_is_told_while_the_database_is_read_is_not_overwritten(self, url, clock) -> None:
        one = Server(url, clock)
        one.truths.remember("r1", "a", "ant")
        one.truths.tell("r1", "ant")
        one.keeper.keep_once()
        one.truths.tell("r1", "bee")
        one.keeper._read_others()
        assert one.truths.window("a").accuracy.value == 0.0

    def test_answers_that_could_not_be_written_wait(self, url, clock) -> None:
        server = Server(url, clock)
        server.keeper.keep_once()
        with server.database.writing() as connection:
            connection.execute(sql.text("DROP TABLE figures_answers"))
        server.truths.remember("r1", "a", "ant")
        server.truths.tell("r1", "ant")
        assert not server.keeper.keep_once()
        assert server.keeper.state.unsent_answers == 2
        assert server.keeper.keep_once()
        assert rows_in(server.database, "figures_answers WHERE truth = 'ant'") == 1

    def test_a_truth_that_nobody_asked_for_becomes_unknown(self, url, clock) -> None:
        server = Server(url, clock)
        assert server.truths.tell("never asked", "ant") == "looked up"
        server.keeper.keep_once()
        assert server.truths.unknown_count == 0 and server.truths.unwritten_count() == 1
        clock.go_on(61)
        server.keeper.keep_once()
        assert server.truths.unknown_count == 1 and server.truths.unwritten_count() == 0

    def test_many_answers_are_written_in_pieces(self, url, clock, monkeypatch) -> None:
        monkeypatch.setattr("vitrail.monitoring.keeper._AT_ONCE", 100)
        server = Server(url, clock)
        for each in range(350):
            server.truths.remember(f"r{each}", "a", "ant", {"site": f"s{each % 30}"})
            server.truths.tell(f"r{each}", "ant")
        assert server.keeper.keep_once()
        assert rows_in(server.database, "figures_answers") == 350
        assert rows_in(server.database, "figures_answers WHERE truth = 'ant'") == 350
        assert server.keeper.keep_once() and server.truths.window("a").accuracy.n == 350

    def test_old_rows_are_removed_after_the_days_that_are_set(self, url, clock, monkeypatch) -> None:
        monkeypatch.setattr("vitrail.monitoring.figures_store._REMOVED_AT_ONCE", 7)
        server = Server(url, clock, keep_days=1.0, keep_answers_days=2.0)
        for each in range(30):
            server.count(1)
            server.truths.remember(f"r{each}", "a", "ant")
            clock.go_on(5)
        server.keeper.keep_once()
        clock.go_on(86_400 - 100)
        server.keeper.keep_once()
        assert 0 < rows_in(server.database, "figures_slots") < 30
        clock.go_on(400)
        server.keeper.keep_once()
        assert rows_in(server.database, "figures_slots") == 0
        assert rows_in(server.database, "figures_answers") == 30
        clock.go_on(86_400)
        server.keeper.keep_once()
        assert rows_in(server.database, "figures_answers") == 0

    def test_only_what_is_needed_stands_in_the_database(self, url, clock) -> None:
        server = Server(url, clock)
        server.truths.remember("r1", "a", "ant", {"sex": "f"})
        server.keeper.keep_once()
        with server.database.reading() as connection:
            (row,) = connection.execute(sql.text("SELECT * FROM figures_answers")).mappings().all()
        assert set(row) == {
            "request_id", "arm", "server", "at", "answer", "attributes", "truth", "truth_at", "recorded_at",
        }  # fmt: skip
        assert json.loads(row["attributes"]) == [["sex", "f"]] and row["server"] == "one"

    def test_a_database_of_a_newer_vitrail_is_left_alone_and_requests_go_on(self, url, clock) -> None:
        server = Server(url, clock)
        server.database.prepare("figures", 2, sql.MetaData())
        server.count(3)
        assert not server.keeper.keep_once(last=True)
        assert server.keeper.state.reason == (
            f"{server.database.shown}: its figures are of version 2, this Vitrail knows version 1"
        )
        assert server.total() == 3

    def test_damage_is_named_and_writing_goes_on(self, url, clock) -> None:
        server, other = Server(url, clock), Server(url, clock, "other")
        other.count(1)
        other.keeper.keep_once(last=True)
        with other.database.writing() as connection:
            connection.execute(sql.text("UPDATE figures_slots SET tally = '{'"))
        server.count(2)
        assert not server.keeper.keep_once(last=True)
        assert server.keeper.state.reason.startswith("a row of 'a' that other/")
        assert rows_in(server.database, "figures_slots") == 2

    def test_a_thread_keeps_by_itself_and_writes_what_is_left_when_it_ends(self, url, clock) -> None:
        server = Server(url, clock, interval_seconds=0.02)
        server.count(3)
        server.keeper.start()
        clock.go_on(5)
        server.count(4)
        wait_until(lambda: server.keeper.state.unsent_slots == 0)
        server.keeper.stop()
        again = Server(url, clock)
        again.keeper.keep_once()
        assert again.total() == 7

    def test_names_that_no_database_likes_are_kept(self, url, clock) -> None:
        server, other = Server(url, clock), Server(url, clock, "other")
        arm = "'; DROP TABLE figures_slots; -- Ä 水"
        server.live.count(arm, Outcome("success", answer='"\\ \x00 🜁'))
        server.truths.remember('%s :x "\x00', arm, "'; --", {"%(sex)s": ":f"})
        server.truths.tell('%s :x "\x00', "'; --")
        assert server.keeper.keep_once(last=True) and other.keeper.keep_once()
        assert other.live.arms() == [arm] and other.live.window(arm).answers == {'"\\ \x00 🜁': 1}
        assert other.truths.window(arm).accuracy.value == 1.0

    def test_two_processes_prepare_at_once(self, url) -> None:
        stores = [FiguresStore(opened(url), server="s", source=str(each)) for each in range(4)]
        threads = [threading.Thread(target=store.prepare) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert rows_in(stores[0].database, "figures_slots") == 0


def wait_until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
