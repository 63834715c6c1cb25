import multiprocessing
import shutil
import uuid

import fsspec
import pytest

from vitrail.basics.errors import InputError, PackageError, SystemFault
from vitrail.models.package import read_package
from vitrail.models.seal import SEAL, package_digest
from vitrail.rollout.package_shelf import shelf_at


@pytest.fixture(params=["folder", "file://", "memory://"])
def place(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "shelf")
    return f"file://{tmp_path}/shelf" if request.param == "file://" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))


def content_of(folder):
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def changed(place, digest, name):
    """Change one byte of a file where it lies."""
    system, root = fsspec.core.url_to_fs(place)
    with system.open(f"{root}/{digest}/{name}", "rb") as file:
        content = bytearray(file.read())
    content[-2] ^= 1
    with system.open(f"{root}/{digest}/{name}", "wb") as file:
        file.write(bytes(content))


def test_a_package_comes_back_byte_for_byte_and_can_be_read(place, package):
    digest = shelf_at(place).put(package.folder)
    assert digest == package_digest(package.folder)
    found = shelf_at(place).folder(digest)
    assert content_of(found) == content_of(package.folder) and found.name == digest
    assert read_package(found).classes == package.classes


def test_what_is_there_is_not_written_again(place, package):
    shelf = shelf_at(place)
    digest = shelf.put(package.folder)
    system, root = fsspec.core.url_to_fs(place)
    before = system.info(f"{root}/{digest}/{SEAL}")
    assert shelf.put(package.folder) == digest and system.info(f"{root}/{digest}/{SEAL}") == before


@pytest.mark.parametrize("name", ["model.safetensors", "README.md", SEAL])
def test_a_byte_that_was_changed_on_the_shelf_is_refused_and_registering_again_mends_it(place, package, name):
    shelf = shelf_at(place)
    digest = shelf.put(package.folder)
    changed(place, digest, name)
    with pytest.raises(PackageError, match=r"was changed"):
        shelf.folder(digest)
    shelf.put(package.folder)
    assert content_of(shelf.folder(digest)) == content_of(package.folder)


def test_a_changed_package_does_not_reach_the_shelf(place, package, tmp_path):
    copy = shutil.copytree(package.folder, tmp_path / "copy")
    (copy / "README.md").write_text("another")
    with pytest.raises(PackageError, match=r"README.md was changed after the package was made"):
        shelf_at(place).put(copy)
    with pytest.raises(PackageError, match="there is no package"):
        shelf_at(place).folder(package_digest(copy))


def test_a_package_whose_seal_has_not_arrived_yet_is_not_there(package):
    place = f"memory://{uuid.uuid4().hex}"
    shelf = shelf_at(place)
    digest = shelf.put(package.folder)
    system, root = fsspec.core.url_to_fs(place)
    system.rm(f"{root}/{digest}/{SEAL}")
    with pytest.raises(PackageError) as refused:
        shelf.folder(digest)
    assert str(refused.value) == (
        f"{place}: there is no package {digest[:12]}\n"
        "hint: register the package again from where it was made; nothing of it was used"
    )
    shelf.put(package.folder)
    assert content_of(shelf.folder(digest)) == content_of(package.folder)


@pytest.mark.parametrize("written", [0, 1, 3])
def test_whoever_is_stopped_while_files_travel_leaves_no_package(package, monkeypatch, written):
    shelf = shelf_at(f"memory://{uuid.uuid4().hex}")
    put, sent = fsspec.implementations.memory.MemoryFileSystem.put_file, []

    def stopped(system, *arguments, **options):
        if len(sent) == written:
            raise KeyboardInterrupt
        sent.append(arguments)
        return put(system, *arguments, **options)

    with monkeypatch.context() as stopping:
        stopping.setattr(fsspec.implementations.memory.MemoryFileSystem, "put_file", stopped)
        with pytest.raises(KeyboardInterrupt):
            shelf.put(package.folder)
    with pytest.raises(PackageError, match="there is no package"):
        shelf.folder(package_digest(package.folder))
    assert content_of(shelf.folder(shelf.put(package.folder))) == content_of(package.folder)


def test_what_was_fetched_once_is_served_while_the_place_cannot_be_reached_unless_it_was_changed_here(package):
    place = f"memory://{uuid.uuid4().hex}"
    shelf = shelf_at(place)
    digest = shelf.put(package.folder)
    kept = shelf.folder(digest)
    fsspec.core.url_to_fs(place)[0].rm(f"/{place.removeprefix('memory://')}", recursive=True)
    assert shelf.folder(digest) == kept
    (kept / "README.md").write_text("another")
    with pytest.raises(PackageError, match="there is no package"):
        shelf.folder(digest)


def test_what_a_killed_process_had_begun_to_copy_is_no_package_and_goes_away(package, tmp_path):
    digest = package_digest(package.folder)
    half = tmp_path / f".{digest}.99999.partial"
    half.mkdir()
    (half / "config.json").write_text("{")
    shelf = shelf_at(str(tmp_path))
    with pytest.raises(PackageError, match="there is no package"):
        shelf.folder(digest)
    shelf.put(package.folder)
    assert not half.exists() and content_of(shelf.folder(digest)) == content_of(package.folder)


def _put(place, folder, results):
    results.put(shelf_at(place).put(folder))


def test_several_processes_put_the_same_package_at_once_and_it_is_there_once(package, tmp_path):
    forks = multiprocessing.get_context("fork")
    results = forks.Queue()
    processes = [forks.Process(target=_put, args=(str(tmp_path), package.folder, results)) for _ in range(4)]
    for process in processes:
        process.start()
    found = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
    assert found == {package_digest(package.folder)}
    assert [each.name for each in tmp_path.iterdir() if not each.name.startswith(".")] == list(found)


def test_a_place_that_cannot_be_used_is_explained(package, tmp_path):
    with pytest.raises(InputError) as refused:
        shelf_at("nowhere://me:secret@host/versions")
    assert "secret" not in str(refused.value) and "hint: name a folder, or a URL whose library is installed" in str(
        refused.value
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file stands where a folder is needed"):
        shelf_at(str(tmp_path / "file")).put(package.folder)
    with pytest.raises(InputError, match="is no SHA-256"):
        shelf_at(str(tmp_path)).folder("../../etc")


def test_a_place_that_fails_is_a_fault_of_the_machine(package, monkeypatch):
    shelf = shelf_at(f"memory://{uuid.uuid4().hex}")

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "put_file", refuse)
    with pytest.raises(SystemFault, match=r"Permission denied\nhint: can this place be reached, and may you use it\?"):
        shelf.put(package.folder)
