import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vitrail
from vitrail.basics.errors import InputError
from vitrail.data.image_list import ImageList
from vitrail.data.image_table import read_image_table


def test_a_class_per_folder_tree_gives_labels_and_no_split(write_images):
    folder = write_images({"cat": 2, "dog": 3})
    (folder / "dog" / "deeper").mkdir()
    (folder / "dog" / "000.png").rename(folder / "dog" / "deeper" / "000.png")
    table = read_image_table(folder)
    assert table.classes == ["cat", "dog"]
    assert table.rows["label"].to_pylist() == ["cat"] * 2 + ["dog"] * 3
    assert table.rows["split"].null_count == 5
    assert table.name == "images"


def test_split_folders_are_read_under_their_usual_names(write_images):
    write_images({"cat": 2}, under="images/training")
    write_images({"cat": 1}, under="images/valid")
    folder = write_images({"cat": 1}, under="images/test").parent
    assert read_image_table(folder).rows["split"].to_pylist() == ["test", "train", "train", "val"]


def test_split_folders_beside_class_folders_are_refused(write_images):
    write_images({"cat": 1}, under="images/train")
    folder = write_images({"dog": 1})
    with pytest.raises(InputError, match=r"split folders \(train\) stand beside other folders \(dog\)"):
        read_image_table(folder)


def test_images_outside_any_class_folder_are_refused(write_images):
    folder = write_images({"cat": 1})
    (folder / "cat" / "000.png").rename(folder / "loose.png")
    with pytest.raises(InputError, match=r"1 image lies outside any class folder, the first is loose.png"):
        read_image_table(folder)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match=r"no images found\nhint: expected one folder per class"):
        read_image_table(tmp_path)


def test_a_folder_of_other_files_says_what_was_there(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "scan.dcm").write_bytes(b"")
    with pytest.raises(InputError, match=r"only other files \(1 × .dcm\)"):
        read_image_table(tmp_path)


def test_hidden_and_system_files_are_passed_over_and_others_counted(write_images):
    folder = write_images({"cat": 1, "dog": 1})
    for name in (".hidden.png", "Thumbs.db", ".DS_Store", "notes.txt"):
        (folder / "cat" / name).write_bytes(b"x")
    table = read_image_table(folder)
    assert (len(table), table.ignored) == (2, {".txt": 1})


def test_a_link_that_leads_back_does_not_loop(write_images):
    folder = write_images({"cat": 2, "dog": 1})
    os.symlink(folder / "cat", folder / "cat" / "again")
    assert len(read_image_table(folder)) == 3


def test_a_csv_keeps_labels_as_text_and_paths_relative_to_itself(write_images):
    folder = write_images({"cat": 2})
    (folder / "labels.csv").write_text(
        "path,label,split,group,age\ncat/000.png,0,train,p1,31\ncat/001.png,007,validation,,\n"
    )
    rows = read_image_table(folder / "labels.csv").rows
    assert rows["label"].to_pylist() == ["0", "007"]
    assert rows["split"].to_pylist() == ["train", "val"]
    assert rows["group"].to_pylist() == ["p1", None]
    assert rows["age"].to_pylist() == [31, None]
    assert rows["path"].to_pylist()[0] == str(folder / "cat" / "000.png")


def test_semicolons_and_empty_cells_of_spreadsheets_are_understood(write_images):
    folder = write_images({"cat": 2})
    (folder / "labels.csv").write_text("path;label;group\ncat/000.png;a;p1\ncat/001.png;b;\n")
    rows = read_image_table(folder / "labels.csv").rows
    assert rows["group"].to_pylist() == ["p1", None]
    frame = pd.DataFrame({"path": [str(folder / "cat/000.png")] * 2, "label": ["a", "b"], "group": ["", None]})
    assert read_image_table(frame).rows["group"].to_pylist() == [None, None]


def test_parquet_pyarrow_and_pandas_give_the_same_rows(write_images, monkeypatch):
    folder = write_images({"cat": 2})
    monkeypatch.chdir(folder)
    plain = pa.table({"path": ["cat/000.png", "cat/001.png"], "label": ["a", "b"]})
    pq.write_table(plain, folder / "labels.parquet")
    expected = read_image_table(plain).rows
    assert read_image_table(folder / "labels.parquet").rows.equals(expected)
    assert read_image_table(pd.DataFrame(plain.to_pydict())).rows.equals(expected)


def test_a_missing_column_is_named_with_the_nearest_one_there(write_images):
    folder = write_images({"cat": 1})
    (folder / "labels.csv").write_text("paths,label\ncat/000.png,a\n")
    with pytest.raises(InputError) as refusal:
        read_image_table(folder / "labels.csv")
    assert str(refusal.value) == (
        f"{folder / 'labels.csv'}: no column 'path'; it has paths, label\n"
        "hint: say which it is, e.g. --columns path=paths"
    )


@pytest.mark.parametrize("kind", ["csv", "parquet", "pandas"])
def test_columns_of_other_names_are_read_as_ours_and_what_they_replace_is_left_out(kind, write_images, monkeypatch):
    folder = write_images({"cat": 2})
    monkeypatch.chdir(folder)
    frame = pd.DataFrame(
        {
            "file": ["cat/000.png", "cat/001.png"],
            "dx": ["007", "b"],
            "label": ["x", "x"],
            "lesion": [1, 2],
            "age": [3, 4],
        }
    )
    data = {"csv": folder / "t.csv", "parquet": folder / "t.parquet", "pandas": frame}[kind]
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet")
    rows = read_image_table(vitrail.table(data, path="file", label="dx", group="lesion")).rows
    assert rows["label"].to_pylist() == ["007", "b"]
    assert rows["group"].to_pylist() == ["1", "2"]
    assert rows["age"].to_pylist() == [3, 4]
    assert rows.column_names == ["path", "frame", "label", "split", "group", "age"]


@pytest.mark.parametrize("frame", ["-1", "1.5", "x"])
def test_frames_that_cannot_be_are_refused(frame, write_images):
    file = write_images({"cat": 1}) / "t.csv"
    file.write_text(f"path,label,frame\ncat/000.png,a,{frame}\n")
    for read in (read_image_table, lambda data: ImageList.write(data, file.with_suffix(".arrow"))):
        with pytest.raises(InputError) as refusal:
            read(file)
        assert str(refusal.value) == (
            f"{file}: column 'frame' holds what is no number of a frame\n"
            "hint: frames are counted 0, 1, 2, …; leave the column out for images of a single frame"
        )


def test_two_columns_may_change_names(write_images):
    folder = write_images({"cat": 1})
    (folder / "t.csv").write_text("label,path\ncat/000.png,a\n")
    rows = read_image_table(vitrail.table(folder / "t.csv", path="label", label="path")).rows
    assert rows["label"].to_pylist() == ["a"]
    assert rows["path"].to_pylist() == [str(folder / "cat/000.png")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"label": "dxs"}, "{file}: no column 'dxs' for label; it has path, dx\nhint: did you mean dx?"),
        (
            {"label": "q"},
            "{file}: no column 'q' for label; it has path, dx\nhint: give its name for it, e.g. label=path",
        ),
        (
            {"lable": "dx"},
            "columns: an image table has no column 'lable', only path, frame, label, split, group\n"
            "hint: did you mean label?",
        ),
    ],
)
def test_columns_that_are_not_there_are_refused(names, message, write_images):
    file = write_images({"cat": 1}) / "t.csv"
    file.write_text("path,dx\ncat/000.png,a\n")
    for read in (read_image_table, lambda data: ImageList.write(data, file.with_suffix(".arrow"))):
        with pytest.raises(InputError) as refusal:
            read(vitrail.table(file, **names))
        assert str(refusal.value) == message.format(file=file)


def test_a_folder_has_no_columns_to_name(write_images):
    folder = write_images({"cat": 1})
    with pytest.raises(InputError) as refusal:
        read_image_table(vitrail.table(folder, label="dx"))
    assert str(refusal.value) == (
        f"{folder} is a folder: it has no columns to name\nhint: leave out --columns, or give a CSV or Parquet file"
    )


def test_missing_files_of_a_csv_are_listed(write_images):
    folder = write_images({"cat": 1})
    (folder / "labels.csv").write_text("path,label\ncat/000.png,a\ncat/nowhere.png,a\n")
    with pytest.raises(InputError, match=r"1 of 2 images do not exist:\n  - .*cat/nowhere.png"):
        read_image_table(folder / "labels.csv")


def test_an_empty_label_cell_is_named_by_its_row(write_images):
    folder = write_images({"cat": 2})
    (folder / "labels.csv").write_text("path,label\ncat/000.png,\ncat/001.png,a\n")
    with pytest.raises(InputError, match=r"column 'label' is empty in 1 rows \(row 1\)"):
        read_image_table(folder / "labels.csv")


def test_an_unknown_split_word_gets_a_suggestion(write_images):
    folder = write_images({"cat": 1})
    (folder / "labels.csv").write_text("path,label,split\ncat/000.png,a,trian\n")
    with pytest.raises(InputError, match=r"column 'split' holds 'trian'\nhint: did you mean train"):
        read_image_table(folder / "labels.csv")


def test_a_place_that_does_not_exist_and_an_unknown_type_get_a_hint():
    with pytest.raises(InputError, match="there is no such folder or file\nhint: give a folder of class folders"):
        read_image_table("/nowhere/at/all")
    with pytest.raises(InputError, match="data of type int is not understood"):
        read_image_table(3)


def test_the_built_in_digits_are_all_there():
    table = read_image_table("digits")
    assert len(table) == 1797
    assert table.classes == [str(digit) for digit in range(10)]


def test_a_class_folder_without_images_is_remembered_and_told(write_images):
    folder = write_images({"cat": 6, "dog": 6})
    (folder / "owl").mkdir()
    (folder / "owl" / "owl.dcm").write_bytes(b"x")
    assert read_image_table(folder).empty_classes == ("owl",)
    findings = {finding.code: finding for finding in vitrail.check(folder, workers=0).findings}
    assert findings["empty-folder"].title == "1 class folder holds no image: 'owl'"
