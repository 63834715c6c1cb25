import contextlib
import itertools
import json
import multiprocessing
import os
import shutil
import sqlite3
import uuid

import pytest

from vitrail.basics.database import opened_database
from vitrail.basics.errors import InputError, PackageError, SystemFault
from vitrail.models.seal import package_digest
from vitrail.rollout.version_store import VersionStore, opened_store

DATABASES = ["sqlite", "postgresql"]


def clock():
    ticks = itertools.count(100)
    return lambda: float(next(ticks))


@contextlib.contextmanager
def store_at(address, files=None):
    store = VersionStore(opened_database(address), clock(), files=files)
    yield store
    store.close()


@pytest.fixture(params=DATABASES)
def address(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "versions.sqlite")
    return request.getfixturevalue("postgres").database(f"v{uuid.uuid4().hex[:12]}")


@pytest.fixture
def store(address, tmp_path):
    with store_at(address, files=str(tmp_path / "versions")) as opened:
        yield opened


def register(store, package, name="flowers", **lineage):
    return store.register(name, package.folder, lineage=lineage, by="Ada")


def lines(store, name="flowers"):
    return [(each.position, each.number, each.kind) for each in store.history(name)]


def test_a_package_becomes_the_next_version_and_its_files_are_kept_by_digest(store, packages):
    first, second = register(store, packages[0], run="one"), register(store, packages[1])
    assert (first.id, second.id) == ("flowers@1", "flowers@2")
    assert first.digest == package_digest(packages[0].folder) and first.lineage == {"run": "one"}
    assert first.state == "registered" and first.aliases == () and first.history[0].by == "Ada"
    assert store.folder("flowers@1").name == first.digest
    assert [each.id for each in store.versions("flowers")] == ["flowers@1", "flowers@2"]
    assert store.version("flowers").id == "flowers@2"  # the latest


def test_the_same_content_keeps_its_version_and_versions_are_counted_per_name(store, packages):
    register(store, packages[0])
    register(store, packages[1])
    assert register(store, packages[0]).number == 1
    assert register(store, packages[1], name="leaves").number == 1
    assert store.names() == ["flowers", "leaves"] and len(lines(store)) == 2


def test_what_becomes_stable_makes_what_was_stable_previous_in_the_same_moment(store, packages):
    for package in packages:
        register(store, package)
    store.set_alias("flowers@1", "stable", by="Ada")
    store.set_alias("flowers@2", "candidate", by="Ada")
    assert store.set_alias("flowers@2", "stable", by="Ada", note="better").aliases == ("stable",)
    assert store.version("flowers@stable").number == 2 and store.version("flowers@previous").number == 1
    with pytest.raises(InputError, match=r"no version of flowers is called candidate\nhint: vitrail alias flowers@3"):
        store.version("flowers@candidate")
    before = lines(store)
    store.set_alias("flowers@2", "stable", by="Ada")  # it is already
    assert lines(store) == before
    store.set_alias("flowers@1", "stable", by="Ada", note="back")
    assert store.version("flowers@previous").number == 2


def test_the_history_only_grows_and_says_who_did_what_when(store, package):
    register(store, package)
    store.add("flowers@1", "note", by="Ben", facts={"note": "from the spring images"})
    store.set_state("flowers@1", "admitted", by="Ada", why="all tests passed")
    store.sign("flowers@1", by="Ada Lovelace", note="read its report")
    version = store.version("flowers@1")
    assert lines(store) == [(1, 1, "registered"), (2, 1, "note"), (3, 1, "state"), (4, 1, "signed")]
    assert [each.by for each in version.history] == ["Ada", "Ben", "Ada", "Ada Lovelace"]
    assert [each.at for each in version.history] == sorted(each.at for each in version.history)
    assert version.state == "admitted" and version.notes[0].facts == {"note": "from the spring images"}
    assert version.signatures[0].facts == {"note": "read its report", "digest": version.digest}
    assert json.loads(json.dumps(version.as_json()))["history"][3]["digest"] == version.digest


def test_a_signature_names_a_person_says_something_and_is_given_for_the_package_that_was_registered(store, package):
    register(store, package)
    with pytest.raises(InputError) as refused:
        store.sign("flowers@1", by=" ", note="fine")
    assert str(refused.value) == ('a signature says who signs and why; who is empty\nhint: --as "Ada Lovelace"')
    with pytest.raises(InputError, match='what is empty\nhint: --note "read its report"'):
        store.sign("flowers@1", by="Ada", note="")
    (store.folder("flowers@1") / "README.md").write_text("another")
    with pytest.raises(PackageError, match=r"README.md was changed"):
        store.sign("flowers@1", by="Ada", note="fine")
    assert store.version("flowers@1").signatures == []


def test_states_follow_each_other_in_order(store, package):
    register(store, package)
    with pytest.raises(InputError) as refused:
        store.set_state("flowers@1", "rolled out", by="Ada")
    assert str(refused.value) == (
        "flowers@1 is registered, which is not followed by rolled out\n"
        "hint: what may follow: admitted, rejected, retired"
    )
    for state in ("rejected", "admitted", "rolled out", "retired", "registered"):
        assert store.set_state("flowers@1", state, by="Ada").state == state


def test_what_was_rejected_or_retired_does_not_become_stable_and_what_is_stable_is_not_retired(store, packages):
    register(store, packages[0])
    register(store, packages[1])
    store.set_state("flowers@1", "rejected", by="Ada")
    with pytest.raises(InputError) as refused:
        store.set_alias("flowers@1", "stable", by="Ada")
    assert str(refused.value) == (
        "flowers@1 is rejected and does not become stable\nhint: vitrail admit flowers@1 --against stable --data DIR"
    )
    store.set_alias("flowers@2", "stable", by="Ada")
    with pytest.raises(InputError) as refused:
        store.set_state("flowers@2", "retired", by="Ada")
    assert str(refused.value) == "flowers@2 is stable and is not retired\nhint: vitrail alias ANOTHER stable first"
    with pytest.raises(InputError, match="'previous' is no alias that is given by hand\nhint: stable or candidate; "):
        store.set_alias("flowers@2", "previous", by="Ada")


def test_a_version_that_there_is_not_is_explained(store, package):
    with pytest.raises(InputError) as refused:
        store.version("flowers@1")
    assert str(refused.value) == (
        f"{store.shown} holds no versions of flowers\nhint: vitrail register PACKAGE --name flowers"
    )
    register(store, package)
    with pytest.raises(InputError, match=r"holds no versions of flower\nhint: did you mean flowers\?"):
        store.version("flower@1")
    with pytest.raises(InputError, match=r"holds no versions of zebras\nhint: it holds flowers"):
        store.version("zebras")
    with pytest.raises(InputError) as refused:
        store.version("flowers@2")
    assert str(refused.value) == (
        "there is no flowers@2: versions 1 to 1 were registered\nhint: vitrail versions flowers"
    )


def test_a_version_whose_files_were_changed_is_not_given_out(store, package):
    register(store, package)
    (store.folder("flowers@1") / "config.json").write_text("{}")
    with pytest.raises(PackageError, match=r"config.json was changed after the package was made"):
        store.folder("flowers@1")


def test_the_place_of_the_files_is_said_once_and_kept(address, tmp_path, package):
    with store_at(address, files=f"memory://{uuid.uuid4().hex}") as store:
        register(store, package)
    with store_at(address) as store:
        assert store.folder("flowers@1").is_dir()
    with store_at(address, files=str(tmp_path / "elsewhere")) as store, pytest.raises(InputError) as refused:
        store.folder("flowers@1")
    assert str(refused.value).endswith(
        f"and {tmp_path}/elsewhere was given\nhint: leave it out; another place needs another store"
    )


def test_beside_a_file_the_packages_lie_in_a_folder_and_both_may_be_moved(tmp_path, package):
    with store_at(tmp_path / "here" / "versions.sqlite") as store:
        register(store, package)
    shutil.move(tmp_path / "here", tmp_path / "there")
    with store_at(tmp_path / "there" / "versions.sqlite") as store:
        digest = store.version("flowers").digest
        assert store.folder("flowers") == tmp_path / "there" / "versions" / digest


def test_in_postgresql_the_place_of_the_files_must_be_said(postgres, package):
    address = postgres.database("noplace")
    with (
        store_at(address) as store,
        pytest.raises(InputError, match="does not say yet where packages are kept\nhint: say it once: --files"),
    ):
        register(store, package)


def test_a_process_that_dies_between_the_files_and_the_row_leaves_no_version(store, package, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("vitrail.rollout.version_store.add_line", killed)
        with pytest.raises(KeyboardInterrupt):
            register(store, package)
    assert store.names() == [] and store.history("flowers") == []
    assert register(store, package).id == "flowers@1"


def _killed_at(address, files, folder, number):
    """Register, and be gone without a word at the `number`-th rename, or before the row is written."""
    renames, rename, replace = itertools.count(1), os.rename, os.replace

    def counted(way):
        def moved(*arguments, **options):
            if next(renames) == number:
                os._exit(9)
            return way(*arguments, **options)

        return moved

    os.rename, os.replace = counted(rename), counted(replace)
    with store_at(address, files=files) as store:
        store.register("flowers", folder, lineage={}, by="Ada")


def test_a_process_that_is_killed_at_any_rename_leaves_no_half_version(tmp_path, package):
    address, files, codes = str(tmp_path / "versions.sqlite"), tmp_path / "versions", []
    digest = package_digest(package.folder)
    for number in range(1, 50):
        arguments = (address, str(files), package.folder, number)
        process = multiprocessing.get_context("fork").Process(target=_killed_at, args=arguments)
        process.start()
        process.join(60)
        codes.append(process.exitcode)
        with store_at(address, files=str(files)) as store:
            if process.exitcode == 0:
                assert content_of(store.folder("flowers@1")) == content_of(package.folder)
                break
            assert store.names() == []
            there = files / digest
            assert not there.exists() or content_of(there) == content_of(package.folder)
    assert len(codes) > 5 and set(codes[:-1]) == {9} and codes[-1] == 0


def content_of(folder):
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def _work(address, files, folders, number):
    with store_at(address, files=files) as store:
        for folder in folders:
            store.register("flowers", folder, lineage={}, by="Ada")
        for _ in range(5):
            store.add("flowers@1", "note", by=f"process {number}", facts={"note": "again"})
            store.set_alias(f"flowers@{1 + number % 2}", "stable", by=f"process {number}")


def test_several_processes_at_once_lose_nothing_and_see_one_order(address, tmp_path, packages):
    files, folders = str(tmp_path / "versions"), [each.folder for each in packages[:2]]
    processes = [
        multiprocessing.get_context("fork").Process(target=_work, args=(address, files, folders, number))
        for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    with store_at(address) as store:
        history = store.history("flowers")
        assert [each.number for each in store.versions("flowers")] == [1, 2]
        assert [each.position for each in history] == list(range(1, len(history) + 1))
        assert sum(each.kind == "note" for each in history) == 20
        assert sum(each.kind == "registered" for each in history) == 2
        called = {alias for each in store.versions("flowers") for alias in each.aliases}
        assert called == {"stable", "previous"}


def test_a_store_that_cannot_be_reached_is_a_fault_of_the_machine(tmp_path, package):
    with (
        store_at("postgresql://vitrail:secret@127.0.0.1:9/versions", files=str(tmp_path)) as store,
        pytest.raises(SystemFault, match="is PostgreSQL running there") as refused,
    ):
        register(store, package)
    assert "secret" not in str(refused.value)
    path = tmp_path / "versions.sqlite"
    with store_at(path) as store:
        register(store, package)
        with sqlite3.connect(path) as database:
            database.execute("UPDATE vitrail_schema SET version = 99")
        database.close()
    with (
        store_at(path) as store,
        pytest.raises(InputError, match="its versions are of version 99, this Vitrail knows version 1"),
    ):
        store.names()


def test_the_usual_place_is_said_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRAIL_VERSIONS", str(tmp_path / "mine.sqlite"))
    assert opened_store(None, clock()).shown == str(tmp_path / "mine.sqlite")
    monkeypatch.delenv("VITRAIL_VERSIONS")
    monkeypatch.chdir(tmp_path)
    assert opened_store(None, clock()).shown == str(tmp_path / "runs" / "versions.sqlite")
