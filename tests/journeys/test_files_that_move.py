"""Images that change while they are used, and things among them that are no files."""

import os

import pytest

import vitrail as library
from tests.conftest import picture
from vitrail.basics.errors import ChangedImageError
from vitrail.basics.events import WorkStarted

SMALL = {"model": "test_vit", "pretrained": False, "image_size": 32, "preset": "quick", "workers": 0}


@pytest.mark.parametrize("change", ["another", "gone"])
def test_an_image_that_changes_after_the_check_stops_the_fit_by_its_name_and_nothing_is_packaged(
    change, write_images, tmp_path
):
    folder = write_images({"cat": 12, "dog": 12})
    changed = folder / "dog" / "003.png"

    def change_it(event):
        if isinstance(event, WorkStarted) and event.work == "computing features":
            picture(77).save(changed) if change == "another" else changed.unlink(missing_ok=True)

    with pytest.raises(ChangedImageError, match=r"003\.png: ") as error:
        library.fit(folder, out=tmp_path / "run", emit=change_it, **SMALL)
    assert "put it back" in error.value.hint
    assert not (tmp_path / "run" / "package").exists()


def test_pipes_and_devices_among_the_images_are_named_and_not_waited_for(vitrail, write_images):
    folder = write_images({"cat": 6, "dog": 6})
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "zero.png").symlink_to("/dev/zero")
    (folder / "dog" / "folder.png").mkdir()
    ended = vitrail("check", folder, "--workers", 0)
    assert ended.code == 1
    assert "pipe.png: is a named pipe, not a file" in ended.out
    assert "zero.png: is a device, not a file" in ended.out
