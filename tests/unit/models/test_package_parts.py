"""What belongs to a package beside its weights: kept, asked for, renewed, and left alone by others."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.unit.models.test_package import changed, contents
from tools.mutate_packages import small_package
from vitrail.basics.errors import InputError, PackageError
from vitrail.basics.files import sha256_of
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import read_package, write_package
from vitrail.models.package_parts import PackagePart, PartContent, sealed_files, with_part
from vitrail.models.parts.seen import Seen
from vitrail.models.seal import seal_folder
from vitrail.models.seeded import seeded_classifier


@dataclass(frozen=True)
class Tint(PackagePart):
    """What a stranger writes: a class of his own, and not a line in `vitrail/`."""

    name = "tint"
    words: str
    table: np.ndarray

    def content(self) -> PartContent:
        return PartContent({"words": self.words}, {"table": self.table})

    @classmethod
    def from_content(cls, content: PartContent, *, version: int) -> "Tint":
        if not isinstance(content.facts.get("words"), str):
            raise ValueError("words were expected")
        return cls(content.facts["words"], content.arrays["table"])


class NewerTint(Tint):
    version, reads_from = 3, 2


class UnderstoodTint(Tint):
    version, reads_from = 3, 1


TINT = Tint("warm", np.arange(6, dtype=np.float32).reshape(2, 3))
SEEN = Seen.of([f"{number:032x}" for number in range(50)], seed=0, fingerprint="abc")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with two parts."""
    folder = tmp_path_factory.mktemp("parts") / "package"
    plain = small_package(folder.with_name("plain"))
    with_part(read_package(plain), TINT, folder.with_name("one"))
    with_part(read_package(folder.with_name("one")), SEEN, folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "package")


def refused(folder: Path, kind: Any = Tint) -> str:
    """Asked for the part: an error in words. Asked for the model: it is there."""
    with pytest.raises(PackageError) as raised:
        read_package(folder).part(kind)
    assert "\nhint: " in str(raised.value)
    assert read_package(folder).load_model() is not None
    return str(raised.value)


def all_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def retold(folder: Path, change: Any) -> None:
    changed(folder, "parts/tint.json", change, knowing=False)


def test_a_part_of_a_stranger_survives_a_round_trip_and_a_reader_that_does_not_know_it(tmp_path: Path) -> None:
    built = seeded_classifier(ModelSettings(name="test_vit", pretrained=False), 0)
    built.model.reset_classifier(3)
    given = contents(built.preprocessing)
    write_package(tmp_path / "one", built, contents=given, parts=[TINT])
    read = read_package(tmp_path / "one").part(Tint)
    assert read.words == "warm" and np.array_equal(read.table, TINT.table)

    with_part(read_package(tmp_path / "one"), SEEN, tmp_path / "two")  # knows nothing of tints
    before, after = all_files(tmp_path / "one"), all_files(tmp_path / "two")
    assert {name: after[name] for name in before if name != "SHA256SUMS"} == {
        name: content for name, content in before.items() if name != "SHA256SUMS"
    }
    assert read_package(tmp_path / "two").parts == ("seen", "tint")
    assert np.array_equal(read_package(tmp_path / "two").part(Tint).table, TINT.table)


def test_a_package_without_parts_is_a_package_and_says_so_when_it_is_asked(tmp_path: Path) -> None:
    package = read_package(small_package(tmp_path / "package"))
    assert package.parts == ()
    with pytest.raises(PackageError, match="the package has no part 'seen'; its parts: none\nhint: a fit with"):
        package.part("seen")


def test_a_part_is_asked_for_by_its_class_or_by_the_name_of_one_that_comes_with_vitrail(folder: Path) -> None:
    package = read_package(folder)
    assert len(package.part("seen")) == len(package.part(Seen)) == 50
    assert len(sealed_files(folder).part(Seen)) == 50
    known = r"known: (\w+, )*seen(, \w+)*"
    with pytest.raises(InputError, match=rf"no kind of part is called 'sean' here; {known}\nhint: did you mean"):
        package.part("sean")
    with pytest.raises(InputError, match=r"hint: ask for a kind of your own by its class"):
        package.part("../../etc/passwd")


def test_a_part_for_newer_readers_is_refused_only_when_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    with_part(read_package(folder), NewerTint("cold", TINT.table), tmp_path / "newer")
    text = refused(tmp_path / "newer")
    assert "its part 'tint' has version 3, which readers of version 2 or newer understand; this one is of" in text
    assert "hint: upgrade vitrail to read this part; the package can be used without it" in text
    with_part(read_package(folder), UnderstoodTint("cold", TINT.table), tmp_path / "understood")
    assert read_package(tmp_path / "understood").part(Tint).words == "cold"


def test_a_part_in_place_of_an_older_one_leaves_nothing_of_it(folder: Path, tmp_path: Path) -> None:
    class Bare(Tint):
        def content(self) -> PartContent:
            return PartContent({"words": "none"})

    with_part(read_package(folder), Bare("", TINT.table), tmp_path / "bare")
    assert not (tmp_path / "bare" / "parts" / "tint.safetensors").exists()
    assert (tmp_path / "bare" / "parts" / "seen.json").read_bytes() == (folder / "parts" / "seen.json").read_bytes()


def test_a_part_that_is_damaged_is_refused_with_the_package(folder: Path) -> None:
    for name in ("parts/tint.json", "parts/tint.safetensors"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + b"!")
        with pytest.raises(PackageError, match=f"{name} was changed after the package was made"):
            read_package(folder)
        (folder / name).write_bytes(content)
    package = read_package(folder)
    (folder / "parts" / "tint.safetensors").unlink()
    with pytest.raises(PackageError, match=r"parts/tint\.safetensors is missing"):
        package.part(Tint)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda part: part.pop("facts"), "facts"),
        (lambda part: part.update(version=True), "version"),
        (lambda part: part.update(reads_from=0), "reads_from"),
        (lambda part: part.update(part="seen"), "says that it is the part 'seen'"),
        (lambda part: part.update(facts={"words": 3}), "words were expected"),
        (lambda part: part["describes"].update({"model.safetensors": "0" * 64}), "made for another model.safetensors"),
        (lambda part: part["describes"].pop("parts/tint.safetensors"), "made for another parts/tint.safetensors"),
    ],
)
def test_a_part_that_makes_no_sense_is_refused_in_words_and_the_package_is_usable(folder, change, told) -> None:
    retold(folder, change)
    assert told in refused(folder)


@pytest.mark.parametrize("content", ["[]", "{", "null", '{"part": "tint", "part": "tint"}', "[" * 100_000])
def test_a_part_that_is_no_json_of_ours_is_refused_in_words(folder: Path, content: str) -> None:
    (folder / "parts" / "tint.json").write_text(content)
    seal_folder(folder)
    assert "its part 'tint': " in refused(folder)


def told_arrays(folder: Path, content: bytes, name: str = "tint") -> None:
    """Other arrays, with their digest told."""
    (folder / "parts" / f"{name}.safetensors").write_bytes(content)
    file = f"parts/{name}.safetensors"
    changed(folder, f"parts/{name}.json", lambda part: part["describes"].update({file: sha256_of(folder / file)}),
            knowing=False)  # fmt: skip


def test_arrays_that_are_not_what_their_header_says_or_too_many_are_refused(folder: Path) -> None:
    good = (folder / "parts" / "tint.safetensors").read_bytes()
    header = json.dumps({"table": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    many = safetensors.numpy.save({f"a{number}": np.zeros(1, np.uint8) for number in range(1001)})
    for content, told in (
        (good[:-4], "bytes where its header tells of"),
        (b"\xff" * 8 + good[8:], "its header is said to have"),
        (len(header).to_bytes(8, "little") + header, "bytes where its header tells of"),
        (many, "1,001 arrays"),
    ):
        told_arrays(folder, content)
        assert told in refused(folder)
    os.truncate(folder / "parts" / "tint.safetensors", 2**40)
    with pytest.raises(PackageError, match="bytes"):
        read_package(folder)


def test_arrays_that_lie_elsewhere_are_refused(folder: Path) -> None:
    content = (folder / "parts" / "tint.safetensors").read_bytes()
    (folder.parent / "outside").write_bytes(content)
    (folder / "parts" / "tint.safetensors").unlink()
    (folder / "parts" / "tint.safetensors").symlink_to(folder.parent / "outside")
    with pytest.raises(PackageError, match="is a link that leads out of the folder"):
        read_package(folder)


@pytest.mark.parametrize(
    ("numbers", "facts", "told"),
    [
        (np.arange(50, dtype=np.int64), {}, "found int64 [50]"),
        (np.arange(49, dtype=np.uint64), {}, "50 numbers of 64 bits were expected, found uint64 [49]"),
        (np.arange(50, dtype=np.uint64)[::-1].copy(), {}, "numbers in ascending order were expected"),
        (np.arange(50, dtype=np.uint64).reshape(2, 25), {}, "found uint64 [2, 25]"),
        (np.arange(50, dtype=np.uint64), {"images": 10**30}, "numbers of 64 bits were expected"),
        (np.arange(50, dtype=np.uint64), {"salt": "/etc/passwd"}, "a salt of 32 hexadecimal digits was expected"),
        (np.arange(50, dtype=np.uint64), {"salt": 3}, "a salt of 32 hexadecimal digits was expected"),
    ],
)
def test_a_list_of_seen_images_that_makes_no_sense_is_refused(folder: Path, numbers, facts, told) -> None:
    changed(folder, "parts/seen.json", lambda part: part["facts"].update(facts), knowing=False)
    told_arrays(folder, safetensors.numpy.save({"numbers": numbers}), "seen")
    assert told in refused(folder, "seen")


@pytest.mark.parametrize("words", ["/home/ann/x.png", "read from C:\\x"])
def test_a_part_that_names_a_path_is_not_written(folder: Path, tmp_path: Path, words: str) -> None:
    with pytest.raises(InputError, match=r"tint\.facts\.words holds a path"):
        with_part(read_package(folder), Tint(words, TINT.table), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["", "../x", "Tint", "a/b", "a" * 41])
def test_a_part_has_a_name_that_can_be_a_files(folder: Path, tmp_path: Path, name: str) -> None:
    named = type("Named", (Tint,), {"name": name})
    with pytest.raises(InputError, match="a part cannot be called"):
        with_part(read_package(folder), named("warm", TINT.table), tmp_path / "new")


class Killed(BaseException):
    """kill -9: nothing is cleaned up behind it."""


def test_with_part_killed_between_any_two_renames_loses_nothing(folder: Path, tmp_path: Path, monkeypatch) -> None:
    before, package, target = all_files(folder), read_package(folder), tmp_path / "new"
    with_part(package, TINT, tmp_path / "undisturbed")
    replace, rename, remove = os.replace, Path.rename, shutil.rmtree
    renames = 0

    def deadly(real, deadline):
        def renamed(*arguments):
            nonlocal renames
            renames += 1
            if renames > deadline:
                raise Killed
            return real(*arguments)

        return renamed

    for deadline in range(50):
        renames = 0
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", deadly(replace, deadline))
            patch.setattr(Path, "rename", deadly(rename, deadline))
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            patch.setattr(Path, "mkdir", lambda self, *_, **__: os.makedirs(self, exist_ok=True))
            try:
                with_part(package, TINT, target)
            except Killed:
                assert not target.exists()
            else:
                break
        for left in tmp_path.glob(".new*"):
            remove(left)
    assert deadline > 8
    assert all_files(folder) == before
    assert all_files(target) == all_files(tmp_path / "undisturbed")
    with pytest.raises(InputError, match="exists already, a new folder was expected"):
        with_part(package, TINT, target)


def test_a_file_that_changed_since_the_package_was_read_is_not_copied(folder: Path, tmp_path: Path) -> None:
    package = read_package(folder)
    (folder / "README.md").write_text("# Others\n")
    with pytest.raises(PackageError, match=r"README\.md was changed after the package was made"):
        with_part(package, TINT, tmp_path / "new")
    assert not (tmp_path / "new").exists()
