import os
import shutil

import numpy as np
import pytest

from tests.conftest import picture
from vitrail.basics import files
from vitrail.basics.errors import ChangedImageError, UnreadableImageError
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.checked_files import checked_places, content_of
from vitrail.data.columns import rows
from vitrail.data.file_contents import stamped_content
from vitrail.data.inspection.examine import examine
from vitrail.data.inspection.file_columns import FactColumns
from vitrail.data.loader import pixel_batches, pixels_or_faults
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.training_views import view_batches

SMALL = Preprocessing(height=16, width=16)


def checked(*paths) -> list:
    columns = FactColumns()
    for path in paths:
        columns.add(examine(str(path)))
    return checked_places(columns.beside(rows(path=list(map(str, paths)), label=["a"] * len(paths))))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    picture(1).save(path)
    return path


def overwritten(path):
    """Other bytes of the same length in the same file, with the time put back."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def swapped(path):
    picture(2).save(path.with_name("b.png"))
    os.replace(path.with_name("b.png"), path)


def replaced_by_a_folder(path):
    path.unlink()
    path.mkdir()


def replaced_by_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [overwritten, swapped, replaced_by_a_folder, replaced_by_a_pipe, os.unlink])
def test_an_image_that_is_not_what_was_checked_stops_every_reader_by_its_name(change, image):
    (place,) = checked(image)
    change(image)
    views = AugmentationSettings()
    for read in (
        lambda: content_of(place),
        lambda: next(pixel_batches([place], SMALL, batch_size=1, workers=0)),
        lambda: next(view_batches([[(place, 3)]], SMALL, views, workers=0)),
        lambda: next(pixels_or_faults([place], SMALL, workers=0)),  # not a fault that may be skipped
    ):
        with pytest.raises(ChangedImageError) as error:
            read()
        assert error.value.message.startswith(f"{image}: ")
        assert "checked" in error.value.message
        assert "--overwrite" in error.value.hint


def test_the_error_survives_the_way_from_a_worker_process(image):
    places = checked(image)
    image.write_bytes(b"other")
    with pytest.raises(ChangedImageError, match="has changed since it was checked") as error:
        next(pixel_batches(places, SMALL, batch_size=1, workers=1))
    assert error.value.hint


def touched(path):
    os.utime(path)


def copied_back(path):
    shutil.copy(path, path.with_name("copy"))
    path.unlink()
    shutil.move(path.with_name("copy"), path)


def other_permissions(path):
    path.chmod(0o600)


@pytest.mark.parametrize("change", [touched, copied_back, other_permissions])
def test_the_same_bytes_go_on_whatever_happened_to_the_file(change, image):
    content = image.read_bytes()
    (place,) = checked(image)
    change(image)
    assert content_of(place) == content


def test_nothing_is_hashed_again_while_the_file_is_untouched(image, monkeypatch):
    (place,) = checked(image)
    monkeypatch.setattr("vitrail.data.checked_files.image_id", lambda *_: pytest.fail("hashed"))
    assert content_of(place) == image.read_bytes()


def test_a_file_that_is_swapped_while_it_is_opened_is_the_one_that_was_opened_or_refused(image, monkeypatch):
    (place,) = checked(image)
    opened = os.open

    def swapping(path, *arguments):
        if str(path) == str(image):
            swapped(image)
        return opened(path, *arguments)

    monkeypatch.setattr(files.os, "open", swapping)
    with pytest.raises(ChangedImageError):
        content_of(place)


def test_a_file_that_is_written_to_while_it_is_read_is_refused(image, monkeypatch):
    stamps = files.Stamp.of
    grown = []

    def growing(file):
        if grown:
            with open(image, "ab") as more:
                more.write(b"more")
        grown.append(1)
        return stamps(file)

    monkeypatch.setattr(files.Stamp, "of", growing)
    with pytest.raises(UnreadableImageError, match="was written to while it was read"):
        stamped_content(image)


def test_pixels_are_those_of_the_unchecked_place(image):
    plain = next(pixel_batches([(str(image), 0)], SMALL, batch_size=1, workers=0))
    assert np.array_equal(plain, next(pixel_batches(checked(image), SMALL, batch_size=1, workers=0)))
