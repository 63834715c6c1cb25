import pytest

from vitrail.basics.errors import InputError
from vitrail.data.image_paths import image_paths


def names(paths):
    return [path.split("/")[-1] for path in paths]


def test_files_folders_and_patterns_are_expanded_in_order_and_once(write_images):
    folder = write_images({"cat": 2, "dog": 1})
    (folder / "notes.txt").write_text("x")
    (folder / "dog" / "000.png").rename(folder / "dog" / "b.png")
    assert names(image_paths([folder])) == ["000.png", "001.png", "b.png"]
    assert names(image_paths([f"{folder}/cat/*1.png", folder / "cat"])) == ["001.png", "000.png"]
    assert names(image_paths([f"{folder}/**/*.png"])) == ["000.png", "001.png", "b.png"]


def test_a_file_named_outright_is_taken_whatever_its_name(tmp_path):
    (tmp_path / "image").write_bytes(b"x")
    assert image_paths([tmp_path / "image"]) == [str(tmp_path / "image")]


def test_what_does_not_exist_or_holds_no_image_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no such file or folder\nhint: check the spelling"):
        image_paths([tmp_path / "nothing.png"])
    with pytest.raises(InputError, match="no images there"):
        image_paths([tmp_path])
