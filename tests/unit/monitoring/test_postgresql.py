"""The same promises in a real PostgreSQL, also when it is stopped and started again."""

import itertools
import signal
import time

import pytest
import sqlalchemy as sql

from tests.postgres import PASSWORD, Postgres
from tests.unit.monitoring.false_clock import FalseClock
from tests.unit.monitoring.keeping import KeepingPromises, Server, opened, rows_in, wait_until
from vitrail.basics.database import DatabaseConflict
from vitrail.basics.errors import InputError, SystemFault

NUMBER = itertools.count()


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.database(f"figures{next(NUMBER)}")


class TestKeepingInPostgresql(KeepingPromises):
    def test_the_server_is_stopped_and_started_and_nothing_is_lost_or_doubled(self, url, clock, postgres) -> None:
        servers = [Server(url, clock, name) for name in ("one", "two")]

        def a_round() -> list[bool]:
            for server in servers:
                server.count(10)
                server.truths.remember(f"{server.live.now()} {id(server)}", "a", "ant")
                server.truths.tell(f"{server.live.now()} {id(server)}", "ant")
            clock.go_on(5)
            return [server.keeper.keep_once() for server in servers]

        assert a_round() == [True, True]
        postgres.stop()
        try:
            start = time.monotonic()
            assert [a_round() for _ in range(3)] == [[False, False]] * 3
            assert time.monotonic() - start < 3
            state = servers[0].keeper.state
            assert state.unsent_slots == 3 and state.unsent_answers >= 3
            assert state.reason.startswith("postgresql://vitrail:***@127.0.0.1:") and PASSWORD not in state.reason
        finally:
            postgres.start()
        assert a_round() == [True, True]
        for server in servers * 2:
            assert server.keeper.keep_once()
        for server in servers:
            assert server.keeper.state.connected and server.keeper.state.unsent_slots == 0
            assert server.total() == 100 and server.truths.window("a").accuracy.n == 10
        assert rows_in(servers[0].database, "figures_slots") == 10
        assert rows_in(servers[0].database, "figures_answers WHERE truth IS NOT NULL") == 10

    def test_a_restart_between_two_rounds_is_not_noticed(self, url, clock, postgres) -> None:
        server = Server(url, clock)
        assert server.keeper.keep_once()
        postgres.stop()
        postgres.start()
        assert server.keeper.keep_once(), server.keeper.state.reason

    def test_a_database_that_is_silent_is_given_up_soon_and_heard_again(
        self, url, clock, postgres, monkeypatch
    ) -> None:
        monkeypatch.setattr("vitrail.basics.database.TIMEOUT_SECONDS", 0.3)
        server = Server(url, clock)
        assert server.keeper.keep_once()
        postgres.send_signal(signal.SIGSTOP)
        try:
            server.count(3)
            clock.go_on(5)
            start = time.monotonic()
            assert not server.keeper.keep_once() and not server.keeper.keep_once()
            assert time.monotonic() - start < 2.5
            assert server.keeper.state.reason.endswith(": timed out") and server.keeper.state.unsent_slots == 1
        finally:
            postgres.send_signal(signal.SIGCONT)
        assert server.keeper.keep_once()
        assert rows_in(server.database, "figures_slots") == 1


TABLES = sql.MetaData()
NUMBERS = sql.Table("numbers", TABLES, sql.Column("n", sql.Integer, primary_key=True, autoincrement=False))


def test_a_conflict_and_another_version_are_told(url) -> None:
    database = opened(url)
    database.prepare("numbers", 1, TABLES)
    with database.writing() as connection:
        connection.execute(sql.insert(NUMBERS).values(n=1))
    with pytest.raises(DatabaseConflict, match="duplicate key value"), database.writing() as connection:
        connection.execute(sql.insert(NUMBERS).values(n=1))
    with pytest.raises(InputError, match="its numbers are of version 1, this Vitrail knows version 2"):
        database.prepare("numbers", 2, TABLES)


def test_a_wrong_password_is_told_without_it(url) -> None:
    wrong = url.replace("@127", "wrong@127")
    with pytest.raises(SystemFault) as fault:
        opened(wrong).prepare("numbers", 1, TABLES)
    assert str(fault.value) == (
        f'postgresql://vitrail:***@{url.rpartition("@")[2]}: password authentication failed for user "vitrail"\n'
        "hint: is PostgreSQL running there, and may this user connect to this database?"
    )


def test_a_statement_that_takes_too_long_is_given_up(url, monkeypatch) -> None:
    monkeypatch.setattr("vitrail.basics.database.TIMEOUT_SECONDS", 0.2)
    database, start = opened(url), time.monotonic()
    with pytest.raises(SystemFault, match=r"timed out|statement timeout"), database.reading() as connection:
        connection.execute(sql.text("SELECT pg_sleep(5)"))
    assert time.monotonic() - start < 2


def test_a_unix_socket_is_reached(url, postgres) -> None:
    name = url.rpartition("/")[2]
    database = opened(f"postgresql://vitrail@:{postgres.port}/{name}?host={postgres.folder}")
    database.prepare("numbers", 1, TABLES)
    assert rows_in(database, "numbers") == 0


def test_a_silent_network_holds_a_keeper_up_for_seconds_and_counting_not_at_all() -> None:
    # Addresses for documentation: nobody answers there, or the network says at once that nobody will.
    server = Server("postgresql://me:secret@192.0.2.1/x", FalseClock())
    server.keeper.start()
    start = time.monotonic()
    server.count(100)
    assert time.monotonic() - start < 0.1
    wait_until(lambda: not server.keeper.state.connected)
    assert time.monotonic() - start < 4 and "secret" not in server.keeper.state.reason
    server.keeper.stop()
