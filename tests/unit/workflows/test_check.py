"""A data set held against a package: which of its images were trained on."""

import json
import shutil
from pathlib import Path

import pytest

import vitrail as library
from tests.journeys.commands import vitrail as vitrail
from tools.mutate_packages import small_package
from vitrail.basics.errors import PackageError
from vitrail.data.image_table import read_image_table
from vitrail.data.inspection import begin_inspection
from vitrail.models.package import read_package
from vitrail.models.package_parts import with_part
from vitrail.models.parts.seen import Seen


@pytest.fixture
def images(write_images) -> Path:
    return write_images({"ant": 4, "bee": 3})


@pytest.fixture
def package(images: Path, tmp_path: Path) -> Path:
    """A package that was trained on these images."""
    ids = begin_inspection(read_image_table(images).rows, workers=0).result().table["id"].to_pylist()
    small_package(tmp_path / "plain")
    with_part(read_package(tmp_path / "plain"), Seen.of(ids, seed=0, fingerprint="x"), tmp_path / "package")
    return tmp_path / "package"


def against(finding_of: dict) -> list[dict]:
    return [each for each in finding_of["findings"] if "trained-on-by-package" in each["code"]]


def test_images_that_a_package_was_trained_on_are_named(vitrail, images, package, write_images, tmp_path) -> None:
    later = write_images({"ant": 3, "bee": 3}, under="later", seed=9)
    shutil.copy(sorted((images / "ant").iterdir())[0], later / "bee" / "renamed.png")
    ended = vitrail("check", later, "--against", package, "--workers", 0, "--json")
    (finding,) = against(json.loads(ended.out))
    assert finding["severity"] == "warning" and ended.code == 0
    assert finding["title"] == (
        "1 of 7 images is among the 7 training images of the package: figures measured on them flatter it"
    )
    assert finding["details"] == [f"{later / 'bee' / 'renamed.png'} (bee)"]
    assert "1 of 7 images is among the 7 training images" in vitrail("check", later, "--against", package).out


def test_images_that_it_was_not_trained_on_are_said_to_be_others(images, package, write_images) -> None:
    later = write_images({"ant": 3, "bee": 3}, under="later", seed=9)
    (finding,) = against(library.check(later, against=package, workers=0).as_json())
    assert finding["severity"] == "note"
    assert finding["title"] == "none of 6 images is among the 7 training images of the package"
    assert not against(library.check(later, workers=0).as_json())


def test_a_package_that_does_not_know_what_it_was_trained_on_says_so(images, package) -> None:
    with pytest.raises(PackageError, match="the package has no part 'seen'"):
        library.check(images, against=package.with_name("plain"), workers=0)
    with pytest.raises(PackageError, match="no such package folder"):
        library.check(images, against=package.with_name("gone"), workers=0)
