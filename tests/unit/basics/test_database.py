"""SQLite as a file that several processes share; PostgreSQL itself is in monitoring/test_postgresql.py."""

import multiprocessing
import os
import sqlite3
import ssl
import stat
import sys
import time

import pytest
import sqlalchemy as sql

from vitrail.basics import database as module
from vitrail.basics.database import Database, DatabaseConflict, opened_database
from vitrail.basics.database_address import address_of
from vitrail.basics.errors import InputError, SystemFault

TABLES = sql.MetaData()
NUMBERS = sql.Table(
    "numbers", TABLES, sql.Column("name", sql.Text, primary_key=True), sql.Column("n", sql.Integer)
)  # fmt: skip


@pytest.fixture
def database(tmp_path) -> Database:
    found = opened_database(tmp_path / "deep" / "figures.db")
    found.prepare("numbers", 1, TABLES)
    return found


def names(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(sql.select(NUMBERS.c.name).order_by(NUMBERS.c.name)).scalars())


def put(database: Database, name: str) -> None:
    with database.writing() as connection:
        connection.execute(database.insert(NUMBERS).values(name=name, n=1))


def test_a_path_is_a_file_that_only_its_owner_reads_and_that_is_written_ahead(database) -> None:
    put(database, "a")
    assert names(opened_database(f"sqlite:///{database.address.path}")) == ["a"]
    assert stat.S_IMODE(database.address.path.stat().st_mode) == 0o600
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_what_fails_half_way_leaves_nothing(database) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        connection.execute(database.insert(NUMBERS).values(name="half", n=1 // 1))
        1 / 0  # noqa: B018
    assert names(database) == []


def test_the_same_key_twice_is_a_conflict_and_upserts_work(database) -> None:
    put(database, "a")
    with pytest.raises(DatabaseConflict) as conflict:
        put(database, "a")
    assert str(conflict.value) == (
        f"{database.shown}: UNIQUE constraint failed: numbers.name\nhint: look at what is there now, and try again"
    )
    with database.writing() as connection:
        upsert = database.insert(NUMBERS).values(name="a", n=7)
        connection.execute(upsert.on_conflict_do_update(index_elements=["name"], set_={"n": 7}))
    assert names(database) == ["a"]


def prepared_and_counted(path: str, process: int) -> None:
    """In a process of its own."""
    database = opened_database(path)
    database.prepare("numbers", 1, TABLES)
    for each in range(25):
        put(database, f"{process}-{each}")


def test_several_processes_create_and_write_at_once(tmp_path) -> None:
    path = str(tmp_path / "shared.db")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=prepared_and_counted, args=(path, each)) for each in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 3
    assert len(names(opened_database(path))) == 75


def test_one_that_is_locked_is_a_fault_after_seconds_and_reading_goes_on(database, monkeypatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    put(database, "a")
    other = sqlite3.connect(database.address.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(SystemFault) as fault:
        put(database, "b")
    assert time.monotonic() - start < 1
    assert str(fault.value) == (
        f"{database.shown}: database is locked\nhint: is there space on the disk, may this user write there, and does "
        "no other program hold the file?"
    )
    assert names(database) == ["a"]
    other.execute("ROLLBACK")
    other.close()
    put(database, "b")


def test_a_file_that_was_removed_is_a_fault_until_it_is_prepared_anew(database) -> None:
    put(database, "a")
    database.address.path.unlink()
    with pytest.raises(SystemFault, match="unable to open database file"):
        names(database)
    database.prepare("numbers", 1, TABLES)
    assert names(database) == []


def test_a_file_that_is_no_database_is_a_fault(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, however long it may be: " * 10)
    with pytest.raises(SystemFault, match=r"notes\.txt: file is not a database"):
        opened_database(tmp_path / "notes.txt").prepare("numbers", 1, TABLES)


def test_tables_of_another_version_are_refused_in_words(database) -> None:
    with pytest.raises(InputError) as refused:
        opened_database(database.shown).prepare("numbers", 2, TABLES)
    assert str(refused.value) == (
        f"{database.shown}: its numbers are of version 1, this Vitrail knows version 2\n"
        "hint: use the Vitrail that wrote them, or name another database"
    )
    database.prepare("others", 2, sql.MetaData())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_fault(tmp_path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(SystemFault, match="no permission"):
        opened_database(tmp_path / "closed" / "figures.db").prepare("numbers", 1, TABLES)


KNOWN = "hint: name a file, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://me:secret@host/x", f"mysql://me:***@host/x is no database that Vitrail knows\n{KNOWN}"),
        ("sqlite://", f"SQLite needs the path of a file: what is kept in memory alone is not kept\n{KNOWN}"),
        (":memory:", f"SQLite needs the path of a file: what is kept in memory alone is not kept\n{KNOWN}"),
        ("postgresql://me:secret@host/", f"postgresql://me:***@host/ names no database\n{KNOWN}"),
        ("postgresql://host/x", f"postgresql://host/x names no user\n{KNOWN}"),
        ("postgresql://me:se@cret@host:port/x", f"postgresql://me:***@host:port/x: its port is no number\n{KNOWN}"),
        (
            "postgresql://me:secret@host/x?pool=3",
            "postgresql://me:***@host/x?pool=3: pool=3 is not understood\nhint: what may stand behind the question "
            "mark: host=/FOLDER of a Unix socket, sslmode=MODE",
        ),
        (
            "postgresql://me:secret@host/x?sslmode=on",
            "sslmode=on is not known\nhint: disable, prefer, require, verify-ca or verify-full",
        ),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url, text) -> None:
    with pytest.raises(InputError) as refused:
        opened_database(url)
    assert str(refused.value) == text


def test_a_folder_is_refused_with_the_name_to_type(tmp_path) -> None:
    with pytest.raises(InputError) as refused:
        opened_database(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} is a folder, and a database is a file\nhint: name a file in it: {tmp_path}/figures.db"
    )


def test_an_address_of_postgresql_is_understood_and_shown_without_its_password(monkeypatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "from outside")
    found = address_of("postgres://me:p%40ss@db.example:5433/figures?sslmode=verify-full")
    assert (found.user, found.password, found.host, found.port, found.name) == (
        "me", "p@ss", "db.example", 5433, "figures",
    )  # fmt: skip
    assert found.encryption.check_hostname and "p@ss" not in repr(found)
    assert found.shown == "postgres://me:***@db.example:5433/figures?sslmode=verify-full"
    socket = address_of("postgresql+pg8000://me@/figures?host=/run/postgresql")
    assert (socket.password, socket.unix_socket) == ("from outside", "/run/postgresql/.s.PGSQL.5432")
    without, usual, asked = (
        address_of(f"postgresql://me:x@h/f{mode}").encryption
        for mode in ("?sslmode=disable", "?sslmode=prefer", "?sslmode=require")
    )
    assert (without, usual) == (False, None) and asked.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("missing", ["sqlalchemy", "pg8000"])
def test_without_the_extra_its_name_is_said(missing, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemFault) as fault:
        opened_database("postgresql://me:secret@host/x")
    assert str(fault.value) == (
        f"serve is not installed: import of {missing} halted; None in sys.modules\nhint: pip install 'vitrail[serve]'"
    )


def test_a_file_on_a_network_is_warned_of(tmp_path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path}/far nfs4 rw 0 0\n")
    assert module._network_file_system(tmp_path / "far" / "f.db", mounts) == "nfs4"
    assert module._network_file_system(tmp_path / "f.db", mounts) is None
    assert module._network_file_system(tmp_path / "f.db", tmp_path / "none") is None
    assert opened_database(tmp_path / "f.db").caution is None
