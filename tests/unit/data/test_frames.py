import os
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from tests.plain_reader import PLAIN_FILE, Plain
from vitrail.basics.errors import ChangedImageError, UnreadableImageError
from vitrail.data import checked_files, file_contents
from vitrail.data.checked_files import checked_places, opened_place
from vitrail.data.file_contents import identified_content
from vitrail.data.frames import places_in
from vitrail.data.identity import image_id
from vitrail.data.image_list import ImageList
from vitrail.data.image_table import read_image_table
from vitrail.data.inspection import begin_inspection
from vitrail.data.inspection.sampled_tone import sampled_tone
from vitrail.data.reading import read_image
from vitrail.data.split import SplitSettings, split_rows
from vitrail.data.tone import Tone


@dataclass(frozen=True)
class Telling(Plain):
    """Says what it is told to say."""

    says: tuple = ()

    def header(self, file):
        return replace(super().header(file), **dict(self.says))


def folder(tmp_path, files: int = 2):
    for number in range(files):
        for label in ("cat", "dog"):
            (tmp_path / label).mkdir(exist_ok=True)
            noise = np.random.default_rng(2 * number + (label == "dog")).integers(0, 4096, (3, 20, 24))
            (tmp_path / label / f"{number:02d}.plain").write_bytes(b"PLAIN" + noise.astype("<u2").tobytes())
    return tmp_path


def test_a_folder_has_a_row_for_every_frame_that_is_an_image(registered, tmp_path):
    registered(Plain())
    rows = read_image_table(folder(tmp_path)).rows
    assert rows["frame"].to_pylist() == [0, 1, 2] * 4
    assert [path[-12:] for path in rows["path"].to_pylist()[::3]] == [
        "cat/00.plain", "cat/01.plain", "dog/00.plain", "dog/01.plain",
    ]  # fmt: skip
    listed = ImageList.write(tmp_path, tmp_path.parent / "images.arrow")
    assert list(listed.places()) == list(zip(rows["path"].to_pylist(), rows["frame"].to_pylist(), strict=True))
    assert places_in(f"{tmp_path}/cat/00.plain") == [(f"{tmp_path}/cat/00.plain", frame) for frame in range(3)]


def test_a_table_names_the_frames_that_it_means(registered, tmp_path):
    registered(Plain())
    paths = [f"{folder(tmp_path)}/cat/00.plain", f"{tmp_path}/dog/00.plain"]
    assert read_image_table(pa.table({"path": paths, "label": ["a", "b"]})).rows["frame"].to_pylist() == [0, 0]
    named = pa.table({"path": paths, "label": ["a", "b"], "frame": [2, 1]})
    assert read_image_table(named).rows["frame"].to_pylist() == [2, 1]


def test_frames_of_one_file_stay_on_one_side_of_a_split(registered, tmp_path):
    registered(Plain())
    table = read_image_table(folder(tmp_path, files=6)).rows
    rows = split_rows(begin_inspection(table, workers=0).result().table, SplitSettings(), seed=0)
    sides = {}
    for path, split in zip(rows["path"].to_pylist(), rows["split"].to_pylist(), strict=True):
        sides.setdefault(path, set()).add(split)
    assert {len(each) for each in sides.values()} == {1} and len(set(rows["split"].to_pylist())) > 1


def test_what_a_header_says_becomes_columns_and_the_table_goes_before(registered, tmp_path):
    says = {"group": "ann", "side": "left", "window_centre": 40, "label": "x", "dose": 1.5}
    registered(Telling(says=(("columns", says), ("frames_are_images", False))))
    rows = read_image_table(folder(tmp_path)).rows
    assert rows.drop_columns(["path", "split"]).to_pylist()[0] == {
        "frame": 0, "label": "cat", "group": "ann", "side": "left", "window_centre": 40.0, "dose": 1.5,
    }  # fmt: skip
    paths = [f"{tmp_path}/cat/00.plain", f"{tmp_path}/dog/00.plain"]
    given = pa.table({"path": paths, "label": ["a", "b"], "group": ["bob", None], "side": ["right", None]})
    rows = read_image_table(given).rows
    assert rows["group"].to_pylist() == ["bob", "ann"] and rows["side"].to_pylist() == ["right", None]


@pytest.mark.parametrize("frames", [0, -1, 10**9])
def test_a_header_that_lies_about_its_frames_is_told_and_no_table_is_made_of_it(frames, registered, tmp_path):
    registered(Telling(says=(("frames", frames),)))
    rows = read_image_table(folder(tmp_path)).rows
    assert rows.num_rows == 4
    faults = begin_inspection(rows, workers=0).result().table["fault"].to_pylist()
    assert faults == [f"states {frames} frames"] * 4


def test_frames_that_are_stated_and_not_there_are_unreadable(registered, tmp_path):
    registered(Telling(says=(("frames", 5),)))
    table = begin_inspection(read_image_table(folder(tmp_path)).rows, workers=0).result().table
    assert table["readable"].to_pylist() == [True, True, True, False, False] * 4


def test_frames_share_one_reading_of_their_file_while_it_stays_as_it_is(monkeypatch, tmp_path):
    readings = []
    whole = file_contents.stamped_content
    monkeypatch.setattr(file_contents, "stamped_content", lambda path: readings.append(path) or whole(path))
    path = tmp_path / "a.plain"
    path.write_bytes(PLAIN_FILE)
    found = [identified_content(str(path), frame) for frame in range(4)]
    assert [identity for _, _, identity in found] == [image_id(PLAIN_FILE, frame) for frame in range(4)]
    assert len(readings) == 2  # the first row's, which may be the only one, and one for all others
    path.write_bytes(PLAIN_FILE + b"more")
    assert identified_content(str(path), 4)[2] == image_id(PLAIN_FILE + b"more", 4)
    path.unlink()
    with pytest.raises(UnreadableImageError, match="does not exist"):
        identified_content(str(path), 5)


def test_of_a_checked_file_only_the_frame_is_read_that_is_wanted(monkeypatch, registered, tmp_path):
    registered(Plain())
    rows = begin_inspection(read_image_table(folder(tmp_path, files=1)).rows, workers=0).result().table
    places = checked_places(rows)
    wanted = [read_image(place.path, frame=place.frame).tobytes() for place in places]

    def refuse(_):
        raise AssertionError("the whole file is read")

    with monkeypatch.context() as patch:
        patch.setattr(checked_files, "content_of", refuse)
        for place, expected in zip(places, wanted, strict=True):
            with opened_place(place) as picture:
                assert picture.seen(Tone()).tobytes() == expected
    os.utime(places[0].path)  # touched, and still the same bytes
    with opened_place(places[0]) as picture:
        assert picture.seen(Tone()).tobytes() == wanted[0]
    (tmp_path / "cat" / "00.plain").write_bytes(PLAIN_FILE)
    with pytest.raises(ChangedImageError, match="has changed since it was checked"), opened_place(places[0]):
        pass


def test_the_scale_of_images_that_are_not_checked_is_measured_through_their_reader(registered, tmp_path):
    registered(Plain())
    tone = sampled_tone(ImageList.write(folder(tmp_path), tmp_path.parent / "sampled.arrow"), workers=0)
    assert tone == Tone(black=0, white=4095, floats="values", colours="values")
