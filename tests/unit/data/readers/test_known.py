import importlib.metadata
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from tests.conftest import picture
from tests.plain_reader import PLAIN_FILE, Plain
from vitrail.basics.errors import SystemFault
from vitrail.data.frames import places_in
from vitrail.data.image_paths import image_paths
from vitrail.data.image_table import read_image_table
from vitrail.data.readers import known
from vitrail.data.readers.known import PHOTOGRAPHS, other_reader_of, other_readers, reader_of, register_reader


@pytest.fixture
def announced(monkeypatch):
    """Have installed packages announce what is given."""

    def announce(load):
        entry = SimpleNamespace(
            name="plain", value="plain:Reader", dist=SimpleNamespace(name="plain-images"), load=load
        )
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == known.GROUP else [])
        known._announced.cache_clear()

    yield announce
    monkeypatch.undo()
    known._announced.cache_clear()


def test_only_photographs_are_known_at_first():
    assert other_readers() == ()
    assert reader_of(b"whatever", "a.dcm") is PHOTOGRAPHS


def test_first_bytes_go_before_the_extension(registered, tmp_path):
    reader = registered(Plain())
    assert reader_of(PLAIN_FILE, "a.png") is reader
    assert reader_of(b"others", "a.PLAIN") is reader
    assert reader_of(b"\xff\xd8\xff\xe0 a JPEG", "a.plain") is PHOTOGRAPHS
    assert reader_of(b"others", "a.txt") is PHOTOGRAPHS


@dataclass(frozen=True)
class Pages(Plain):
    """Takes some of the files whose names say TIFF."""

    extensions = frozenset({".tif"})


def test_a_reader_may_take_files_that_are_photographs_by_their_name(registered, tmp_path):
    for name in ("a.tif", "b.png"):
        (tmp_path / name).write_bytes(PLAIN_FILE)
    picture(1).save(tmp_path / "c.tif")
    reader = registered(Pages())
    assert [other_reader_of(tmp_path / name) for name in ("a.tif", "b.png", "c.tif")] == [reader, None, None]
    assert len(places_in(str(tmp_path / "a.tif"))) == 3


def test_the_latest_reader_is_asked_first_and_an_equal_one_is_not_added(registered):
    first, second = registered(Plain()), registered(Plain(inverted=True))
    register_reader(Plain())
    assert other_readers() == (second, first)
    with pytest.raises(TypeError, match="'x' is no reader, it has no extensions, begins_like, header, picture"):
        register_reader("x")


@pytest.mark.parametrize("load", [lambda: Plain, Plain], ids=["class", "reader"])
def test_an_installed_package_may_announce_a_reader(announced, load):
    announced(load)
    assert other_readers() == (Plain(),)


def test_a_package_whose_reader_cannot_be_loaded_is_named(announced):
    def load():
        raise ImportError("no module named raw")

    announced(load)
    with pytest.raises(SystemFault) as error:
        other_readers()
    assert str(error.value) == (
        "the reader 'plain' of the package plain-images cannot be loaded: ImportError: no module named raw\n"
        "hint: mend or remove that package: pip uninstall plain-images"
    )


def test_a_file_without_an_extension_is_found_by_its_first_bytes(registered, tmp_path):
    for name in ("a/scan", "a/notes.txt", "b/IM.0001.2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"words" if name.endswith("txt") else PLAIN_FILE[: 5 + 960])
    picture(1).save(tmp_path / "b" / "hidden", "PNG")
    registered(Plain())
    table = read_image_table(tmp_path)
    assert [path.rpartition("/")[2] for path in table.rows["path"].to_pylist()] == ["scan", "IM.0001.2"]
    assert table.ignored == {".txt": 1, "(no extension), PNG inside": 1}
    assert image_paths([f"{tmp_path}/b/*"]) == [f"{tmp_path}/b/IM.0001.2"]


class Raising(Plain):
    def begins_like(self, beginning):
        raise IndexError


def test_a_reader_that_cannot_look_at_a_file_does_not_get_it(registered, tmp_path):
    registered(Raising())
    assert reader_of(PLAIN_FILE, "a.png") is PHOTOGRAPHS
