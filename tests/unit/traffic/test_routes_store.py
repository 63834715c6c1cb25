import contextlib
import multiprocessing
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vitrail.basics.database import DatabaseConflict, opened_database
from vitrail.basics.errors import InputError, SystemFault
from vitrail.traffic.route_changes import started_routes
from vitrail.traffic.route_records import Confirmation, KnownModel
from vitrail.traffic.routes import Arm, Routes
from vitrail.traffic.routes_store import RoutesStore

ANTS = KnownModel("ants", Path("/models/ants"), "a" * 64)
WASPS = KnownModel("wasps", Path("/models/wasps"), "b" * 64)
FIRST = Routes(1, (Arm("ants", "ants", weight=1.0),))


class Clock:
    now = 100.0

    def __call__(self):
        self.now += 1
        return self.now


def store_at(path):
    return RoutesStore(opened_database(path), Clock())


@contextlib.contextmanager
def closed_store_at(address):
    """PostgreSQL's connections stay open until they are closed."""
    database = opened_database(address)
    yield RoutesStore(database, Clock())
    database.close()


@pytest.fixture
def store(tmp_path):
    return store_at(tmp_path / "serving.db")


def after(routes, **changes):
    return replace(routes, revision=routes.revision + 1, **changes)


def filled(store, count):
    store.write(FIRST, expected=None, models=[ANTS])
    for number in range(1, count):
        store.write(replace(FIRST, revision=number + 1, note=f"step {number}", by="rollout"), expected=number)


def test_a_new_database_has_no_routes(store):
    assert (store.latest(), store.latest_revision(), store.last_asked()) == (None, None, None)
    assert (store.history(10), store.models(), store.confirmations()) == ([], {}, [])


def test_routes_come_back_as_they_were_written_for_every_server(store, tmp_path):
    full = Routes(
        1, (Arm("ants", "ants", weight=0.1), Arm("new", "wasps", "canary", share=1 / 3)), "salt 患", "first",
        ("ants",), "note → é", "command line",
    )  # fmt: skip
    store.write(full, expected=None, models=[ANTS, WASPS])
    other = store_at(tmp_path / "serving.db")
    assert other.latest() == full and other.latest_revision() == 1
    assert other.models() == {"ants": replace(ANTS, added=101.0 + 1), "wasps": replace(WASPS, added=101.0 + 2)}


def test_every_revision_is_kept_and_told_from_the_last_on(store):
    filled(store, 5)
    assert [each.routes.revision for each in store.history(3)] == [5, 4, 3]
    times = [each.written for each in store.history(9)]
    assert len(times) == 5 and times == sorted(times, reverse=True)
    assert store.latest() == store.history(1)[0].routes


def test_what_a_command_line_asked_for_last_is_found_behind_a_rollouts_steps(store):
    filled(store, 4)
    assert store.last_asked() == FIRST
    store.write(asked := replace(FIRST, revision=5, salt="other"), expected=4)
    assert store.last_asked() == asked


def test_who_is_overtaken_gets_one_clear_error_and_writes_nothing(store):
    filled(store, 3)
    with pytest.raises(DatabaseConflict) as conflict:
        store.write(replace(FIRST, revision=3, note="late"), expected=2, models=[WASPS])
    assert conflict.value.message.endswith(
        "serving.db: the routes were changed meanwhile: revision 3 holds, revision 2 was expected"
    )
    assert conflict.value.hint == "look at what holds now, and decide anew"
    assert store.latest_revision() == 3 and "wasps" not in store.models()


def test_the_first_revision_is_written_once(store):
    filled(store, 1)
    with pytest.raises(DatabaseConflict, match="revision 1 holds, none was expected"):
        store.write(FIRST, expected=None, models=[ANTS])


def test_a_revision_cannot_be_written_after_one_that_is_not_there(store):
    with pytest.raises(DatabaseConflict, match="none holds, revision 4 was expected"):
        store.write(replace(FIRST, revision=5), expected=4)


def test_revisions_are_numbered_one_after_the_other(store):
    with pytest.raises(InputError) as refused:
        store.write(replace(FIRST, revision=3), expected=1)
    text = "revision 3 was to be written after revision 1\nhint: a revision is the one before it and 1"
    assert str(refused.value) == text


def test_routes_name_only_models_whose_package_is_known(store):
    with pytest.raises(InputError) as refused:
        store.write(FIRST, expected=None)
    assert str(refused.value).endswith(
        "serving.db knows no package of the model ants\nhint: its package is to be written with the routes"
    )
    filled(store, 1)
    with pytest.raises(InputError, match="knows no package of the model wasps\nhint: known: ants"):
        store.write(after(FIRST, arms=(*FIRST.arms, Arm("w", "wasps"))), expected=1)
    assert store.latest_revision() == 1


def test_a_model_is_written_again_only_with_another_package(store):
    filled(store, 1)
    added = store.models()["ants"].added
    store.write(after(FIRST), expected=1, models=[ANTS])
    assert store.models()["ants"].added == added
    store.write(replace(FIRST, revision=3), expected=2, models=[replace(ANTS, digest="c" * 64)])
    assert store.models()["ants"].digest == "c" * 64 and store.models()["ants"].added > added


def test_each_server_says_by_which_revision_it_serves(store):
    filled(store, 2)
    for server, revision in (("one", 1), ("two", 1), ("one", 2), ("one", 2)):
        store.confirm(server, revision)
    first, second = store.confirmations()
    assert (first.server, first.revision, second) == ("one", 2, Confirmation("two", 1, second.at))
    store.confirm("one", 1)  # a server that was begun anew with an older copy, say
    assert [each.revision for each in store.confirmations()] == [1, 1]


def test_confirming_again_adds_nothing(store, tmp_path):
    for _ in range(5):
        store.confirm("one", 1)
    with sqlite3.connect(tmp_path / "serving.db") as connection:
        assert connection.execute("SELECT count(*) FROM route_confirmations").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ('{"revision": 1, "arms": []}', "no stable arm has a weight above 0"),
        ('{"revision": 1, "arms": [], "regions": []}', "'regions' is no part of routes"),
    ],
)
def test_routes_that_something_else_wrote_are_refused_not_served(store, tmp_path, text, said):
    filled(store, 1)
    with sqlite3.connect(tmp_path / "serving.db") as connection:
        connection.execute("UPDATE route_revisions SET routes = ?", [text])
    connection.close()
    with pytest.raises(InputError) as refused:
        store.latest()
    assert f"serving.db: a revision of its routes cannot be read: {said}" in str(refused.value)
    assert refused.value.hint == "it was changed by something else than Vitrail, or written by a newer one"


def test_a_database_that_is_gone_is_the_machines_fault_and_one_that_comes_back_is_used(tmp_path):
    store = store_at(tmp_path / "serving.db")
    filled(store, 1)
    (tmp_path / "serving.db").rename(tmp_path / "away.db")
    with pytest.raises(SystemFault):
        store.latest()
    (tmp_path / "away.db").rename(tmp_path / "serving.db")
    assert store.latest() == FIRST


def written_by_a_process(path, name, steps):
    """Take `steps` steps, each from what holds; which revisions these were, and how often others were quicker."""
    mine, overtaken = [], 0
    with closed_store_at(path) as store:
        while len(mine) < steps:
            latest = store.latest()
            try:
                store.write(after(latest, note=name, by="rollout"), expected=latest.revision)
            except DatabaseConflict:
                overtaken += 1
            else:
                mine.append(latest.revision + 1)
    return mine, overtaken


def work(path, name, barrier, told):
    barrier.wait(30)
    told.put((name, *written_by_a_process(path, name, 25)))


def at_once(work, path, *names):
    """What several processes say that begin the same work at the same moment."""
    context = multiprocessing.get_context("spawn")
    barrier, told = context.Barrier(len(names)), context.Queue()
    processes = [context.Process(target=work, args=(path, name, barrier, told)) for name in names]
    for process in processes:
        process.start()
    results = [told.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    return results


def refuse_lost_revisions(address):
    with closed_store_at(address) as store:
        filled(store, 1)
    results = {name: revisions for name, revisions, _ in at_once(work, address, "one", "two")}
    assert sorted(results["one"] + results["two"]) == list(range(2, 52))
    with closed_store_at(address) as store:
        written = {each.routes.revision: each.routes.note for each in store.history(100)}
    assert all(written[revision] == name for name, revisions in results.items() for revision in revisions)


def test_two_processes_that_write_at_once_never_write_over_each_other(tmp_path):
    refuse_lost_revisions(tmp_path / "serving.db")


def test_in_postgresql_they_never_write_over_each_other_either(postgres):
    refuse_lost_revisions(postgres.database("two_writers"))


def test_postgresql_keeps_what_sqlite_keeps(postgres):
    with closed_store_at(postgres.database("routes")) as store:
        filled(store, 3)
        with pytest.raises(DatabaseConflict, match="revision 3 holds, revision 1 was expected"):
            store.write(replace(FIRST, revision=2), expected=1)
        store.confirm("one", 2)
        store.confirm("one", 3)
        assert (store.latest().note, store.last_asked(), store.latest_revision()) == ("step 2", FIRST, 3)
        assert [(each.server, each.revision) for each in store.confirmations()] == [("one", 3)]
        assert store.models()["ants"].digest == ANTS.digest


ASKED = replace(FIRST, note="as it was asked for")


def test_a_server_that_begins_writes_what_it_is_asked_for_and_then_finds_it(store):
    assert started_routes(store, ASKED, [ANTS]) == ASKED
    assert started_routes(store, ASKED, [ANTS]) == ASKED
    assert store.latest_revision() == 1


def test_a_server_that_begins_again_goes_on_with_a_canary(store):
    started_routes(store, ASKED, [ANTS])
    canary = after(FIRST, arms=(*FIRST.arms, Arm("w", "wasps", "canary", share=0.1)), by="rollout")
    store.write(canary, expected=1, models=[WASPS])
    assert started_routes(store, ASKED, [ANTS]) == canary
    other = started_routes(store, ASKED, [replace(ANTS, digest="c" * 64)])
    assert (other.revision, other.note) == (3, "ants has another package; canary w of revision 2 ended")
    assert started_routes(store, ASKED, [replace(ANTS, digest="c" * 64)]) == other


def test_a_package_that_was_moved_is_found_at_its_new_place(store):
    started_routes(store, ASKED, [ANTS])
    started_routes(store, ASKED, [replace(ANTS, folder=Path("/elsewhere"))])
    assert store.models()["ants"].folder == Path("/elsewhere") and store.latest_revision() == 1


def begin(path, name, barrier, told):
    barrier.wait(30)
    told.put(started_routes(store_at(path), ASKED, [ANTS]))


def test_servers_that_begin_at_once_agree_on_one_revision(tmp_path):
    assert at_once(begin, tmp_path / "serving.db", "one", "two", "three") == [ASKED] * 3
    assert store_at(tmp_path / "serving.db").latest_revision() == 1


def test_nothing_heavy_is_imported_before_a_database_is_used():
    code = "import sys, vitrail.traffic.routes_store, vitrail.serving.breakers\n"
    code += "print([n for n in ('numpy', 'torch', 'scipy', 'sqlalchemy', 'PIL', 'pyarrow') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
