"""Figures survive restarts in a SQLite file, and requests never wait for it."""

import os
import sqlite3
import stat
import time

import pytest

from tests.unit.monitoring.false_clock import FalseClock
from tests.unit.monitoring.keeping import KeepingPromises, Server, rows_in, wait_until
from vitrail.basics import database


class TestKeepingInSqlite(KeepingPromises):
    @pytest.fixture
    def url(self, tmp_path) -> str:
        return str(tmp_path / "figures.db")

    def test_while_the_file_is_locked_counting_goes_on_and_the_state_says_so(self, url, clock, monkeypatch) -> None:
        monkeypatch.setattr(database, "TIMEOUT_SECONDS", 0.5)
        server = Server(url, clock, interval_seconds=0.02)
        assert server.keeper.keep_once()
        lock = sqlite3.connect(url, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        server.keeper.start()
        for _ in range(5):
            server.count(10)
            clock.go_on(5)
        start = time.perf_counter()
        server.count(1000)
        assert time.perf_counter() - start < 0.4
        wait_until(lambda: not server.keeper.state.connected)
        state = server.keeper.state
        assert state.sentence == (
            f"figures have not been kept since 2023-11-14 22:13 UTC: {url}: database is locked; requests go on, "
            "5 slots of figures and 0 answers and truths wait to be written"
        )
        assert state.reason == f"{url}: database is locked" and state.since <= server.live.now()
        assert state.unsent_slots == 5 and server.total() == 1050
        lock.execute("ROLLBACK")
        lock.close()
        wait_until(lambda: server.keeper.state.connected and server.keeper.state.unsent_slots == 0)
        server.keeper.stop()
        again = Server(url, clock)
        again.keeper.keep_once()
        assert again.total() == 1050

    def test_a_file_that_is_removed_is_made_anew_for_its_owner_alone(self, url, clock) -> None:
        server = Server(url, clock)
        server.keeper.keep_once()
        os.unlink(url)
        assert not server.keeper.keep_once()
        assert server.keeper.state.reason == f"{url}: unable to open database file"
        assert server.keeper.keep_once()
        assert stat.S_IMODE(os.stat(url).st_mode) == 0o600

    def test_an_hour_waits_for_the_database_and_not_more(self, tmp_path, clock) -> None:
        place = tmp_path / "away" / "figures.db"
        server = Server(str(place), clock)
        (tmp_path / "away").write_text("a file stands where the folder should be")
        for _ in range(1000):
            server.count(1)
            clock.go_on(5)
        assert not server.keeper.keep_once() and not server.keeper.keep_once()
        state = server.keeper.state
        assert 719 <= state.unsent_slots <= 721
        assert (
            state.since == pytest.approx(server.live.now()) and "a file stands where a folder is needed" in state.reason
        )
        (tmp_path / "away").unlink()
        assert server.keeper.keep_once()
        assert server.keeper.state.as_json() == {
            "database": str(place), "connected": True, "since": None, "reason": None,
            "unsent_slots": 0, "unsent_answers": 0, "caution": None,
            "sentence": f"figures are kept in {place}",
        }  # fmt: skip
        assert rows_in(server.database, "figures_slots") == pytest.approx(720, abs=1)


def test_a_keeper_whose_thread_has_ended_by_itself_says_so(tmp_path, monkeypatch) -> None:
    server = Server(str(tmp_path / "figures.db"), FalseClock())
    monkeypatch.setattr(server.keeper, "_run", lambda: None)
    server.keeper.start()
    server.keeper._thread.join()
    state = server.keeper.state
    assert (state.connected, state.reason) == (
        False, "what keeps figures has ended by itself; begin the server anew",
    )  # fmt: skip
