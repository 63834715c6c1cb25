import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vitrail
from tests.conftest import picture
from vitrail.basics.errors import InputError
from vitrail.data.image_list import ImageList
from vitrail.data.image_table import read_image_table


def listed(data, tmp_path):
    return ImageList.write(data, tmp_path / "images.arrow")


def all_rows(images):
    return images.rows(np.arange(len(images))).to_pylist()


def test_a_folder_is_listed_as_a_fit_reads_it(write_images, tmp_path):
    folder = write_images({"train/cat": 3, "train/dog": 2, "val/cat": 1})
    table = read_image_table(folder).rows.select(["path", "frame", "label", "split"])
    assert all_rows(listed(folder, tmp_path)) == table.to_pylist()


def test_a_csv_a_parquet_file_and_a_frame_are_listed_alike(write_images, tmp_path):
    write_images({"cat": 2, "dog": 1})
    table = pa.table(
        {
            "path": ["images/cat/000.png", "images/cat/001.png", "images/dog/000.png"],
            "label": ["1", None, "007"],
            "split": ["training", "", None],
            "frame": [0, 2, None],
        }
    )
    table.to_pandas().to_csv(tmp_path / "table.csv", index=False)
    pq.write_table(table, tmp_path / "table.parquet")
    frame = table.to_pandas()
    frame["path"] = [str(tmp_path / path) for path in frame["path"]]
    wanted = [
        {"path": str(tmp_path / "images/cat/000.png"), "frame": 0, "label": "1", "split": "train"},
        {"path": str(tmp_path / "images/cat/001.png"), "frame": 2, "label": None, "split": None},
        {"path": str(tmp_path / "images/dog/000.png"), "frame": 0, "label": "007", "split": None},
    ]
    for data in (tmp_path / "table.parquet", tmp_path / "table.csv", pa.Table.from_pandas(frame), frame):
        assert all_rows(listed(data, tmp_path)) == wanted
    assert listed(tmp_path / "table.csv", tmp_path).labelled == 2


def test_images_without_class_folders_have_no_label(write_images, tmp_path):
    folder = write_images({".": 2, "more": 1})
    images = listed(folder, tmp_path)
    assert [row["label"] for row in all_rows(images)] == [None] * 3
    assert images.labelled == 0


def test_places_and_rows_are_found_from_any_number_on_across_pieces(tmp_path):
    paths = [f"/images/{number:05d}.png" for number in range(10_000)]
    images = listed(pa.table({"path": paths}), tmp_path)
    assert [path for path, _ in images.places()] == paths
    for start in (0, 1, 4095, 4096, 4097, 9_999, 10_000):
        assert [path for path, _ in images.places(start)] == paths[start:]
    chosen = np.array([0, 4095, 4096, 8_500, 9_999])
    assert images.rows(chosen)["path"].to_pylist() == [paths[number] for number in chosen]


def test_the_digest_changes_with_a_label_and_not_with_the_time(tmp_path):
    one = listed(pa.table({"path": ["a.png"], "label": ["x"]}), tmp_path).digest
    assert listed(pa.table({"path": ["a.png"], "label": ["x"]}), tmp_path).digest == one
    assert listed(pa.table({"path": ["a.png"], "label": ["y"]}), tmp_path).digest != one


def test_what_holds_no_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(InputError) as refusal:
        listed(tmp_path / "empty", tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path / 'empty'}: no images found, only other files (1 × .txt)\n"
        "hint: expected a folder with images, or a table with a column path"
    )
    (tmp_path / "table.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=r"table.csv: no images found\nhint: "):
        listed(tmp_path / "table.csv", tmp_path)
    with pytest.raises(InputError, match=r"^the table: no images found\nhint: "):
        listed(pandas.DataFrame({"path": []}), tmp_path)
    assert not (tmp_path / "images.arrow").exists()


def test_faults_of_a_table_are_named(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("paht,label\na.png,x\n")
    with pytest.raises(InputError) as refusal:
        listed(file, tmp_path)
    assert str(refusal.value) == (
        f"{file}: no column 'path'; it has paht, label\nhint: say which it is, e.g. --columns path=paht"
    )
    file.write_text("path,label\na.png,x\n,y\n")
    with pytest.raises(InputError) as refusal:
        listed(file, tmp_path)
    assert str(refusal.value) == f"{file}: column 'path' is empty in row 2\nhint: fill this cell or remove the row"
    file.write_text("path,label\na.png,x,3\n")
    with pytest.raises(InputError, match=r"table.csv: not a valid table: .*\nhint: open it and look at the named row"):
        listed(file, tmp_path)


def test_identified_pixels_are_those_of_the_loader_with_the_id_of_the_check(write_images, tmp_path):
    from vitrail.data.identity import KnownImages
    from vitrail.data.inspection.examine import examine
    from vitrail.data.loader import identified_pixels, pixel_batches
    from vitrail.data.preprocessing import Preprocessing

    folder = write_images({"cat": 3})
    (folder / "cat" / "001.png").write_bytes(b"no image")
    picture(99).save(folder / "cat" / "003.png")
    shown = Preprocessing(height=16, width=16)
    places = [*listed(folder, tmp_path).places(), (str(folder / "gone.png"), 0)]
    known = KnownImages.write(
        tmp_path / "known", [(places[2], examine(places[2][0]).id), (places[3], examine(places[0][0]).id)]
    )
    assert len(known) == 2
    first, broken, familiar, last, gone = identified_pixels(places, shown, known=tmp_path / "known", workers=0)
    wanted = next(pixel_batches([places[0], places[3]], shown, batch_size=2, workers=0))
    np.testing.assert_array_equal(np.stack([first.pixels, last.pixels]), wanted)
    assert [each.id for each in (first, broken, familiar, last)] == [examine(path).id for path, _ in places[:4]]
    assert (familiar.pixels, familiar.fault) == (None, None)
    assert broken.pixels is None
    assert broken.fault.startswith(f"{places[1][0]}: is not an image but text")
    assert (gone.id, gone.fault) == ("", f"{folder / 'gone.png'}: does not exist")


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_columns_of_other_names_are_read_in_pieces_as_ours(extension, tmp_path):
    file = tmp_path / f"table.{extension}"
    frame = pandas.DataFrame({"file": ["a.png", "b.png"], "dx": ["007", "008"], "label": ["x", "y"], "lesion": [1, 2]})
    frame.to_csv(file, index=False) if extension == "csv" else frame.to_parquet(file)
    images = listed(vitrail.table(file, path="file", label="dx", group="lesion"), tmp_path)
    assert [path for path, _ in images.places()] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert images.rows(np.array([0, 1]))["label"].to_pylist() == ["007", "008"]
