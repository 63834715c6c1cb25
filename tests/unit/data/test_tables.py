"""What other people's tables hold: texts that look like something else, other encodings, images inside."""

import datetime
import decimal
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vitrail
from tests.conftest import picture
from vitrail.basics.errors import InputError
from vitrail.data.image_list import ImageList
from vitrail.data.image_table import read_image_table

WORDS = ["NA", "null", "N/A", "nan", "NaN", "NULL", "None", "true", "False", "1.0", "007", "1e5", "inf", "-", "#N/A",
         "2024-01-02", "12:30", "1,5", " spaced ", "0x10", "<NA>", "n/a", "-nan", "1.#IND", "9007199254740993",
         "=1+1", "ß"]  # fmt: skip


@pytest.fixture
def image(tmp_path):
    picture(0).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def listed(data, folder):
    images = ImageList.write(data, folder / "list.arrow")
    return images.rows(np.arange(len(images)))


def quoted(word):
    return f'"{word}"' if "," in word else word


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "arrow", "pandas", "categories"])
def test_words_that_other_programs_take_for_missing_values_numbers_or_dates_stay_as_written(kind, image, monkeypatch):
    folder = image.parent
    monkeypatch.chdir(folder)
    columns = {"path": ["a.png"] * len(WORDS), "label": WORDS, "group": WORDS, "site": WORDS}
    data = folder / f"t.{kind}"
    if kind in ("csv", "tsv"):
        mark = {"csv": ",", "tsv": "\t"}[kind]
        lines = [mark.join(columns)] + [mark.join(map(quoted, row)) for row in zip(*columns.values(), strict=True)]
        data.write_text("\n".join(lines) + "\n")
    elif kind == "parquet":
        pq.write_table(pa.table(columns), data)
    else:
        data = pa.table(columns) if kind == "arrow" else pd.DataFrame(columns)
        if kind == "categories":
            data = data.astype({"label": "category", "group": "category", "site": "category"})
    rows = read_image_table(data).rows
    for name in ("label", "group", "site"):
        assert rows[name].to_pylist() == WORDS
    assert listed(data, folder)["label"].to_pylist() == WORDS


def test_only_an_empty_cell_is_missing_and_a_column_of_plain_numbers_is_of_numbers(image):
    file = image.with_name("t.csv")
    file.write_text('path,label,group,age,code,dose\na.png,NA,,31,01,0.5\na.png,"NA","",,2,1.25\na.png,NA, ,4,3,\n')
    rows = read_image_table(file).rows
    assert rows["group"].to_pylist() == [None, None, None]
    assert rows["age"].to_pylist() == [31, None, 4]
    assert rows["dose"].to_pylist() == [0.5, 1.25, None]
    assert rows["code"].to_pylist() == ["01", "2", "3"]


def test_two_texts_that_are_one_number_stay_two_texts(image):
    file = image.with_name("t.csv")
    file.write_text("path,label,version\na.png,a,1.1\na.png,b,1.10\n")
    assert read_image_table(file).rows["version"].to_pylist() == ["1.1", "1.10"]


def test_missing_values_of_pandas_are_missing_and_all_others_are_what_a_person_sees(image):
    labels = [1, True, "x", 2.5, np.float32(0.1), Path("a/b"), datetime.date(2024, 1, 2), decimal.Decimal("1.50")]
    frame = pd.DataFrame({"path": [image] * len(labels), "label": labels, 3: [object()] * len(labels)})
    wanted = ["1", "True", "x", "2.5", "0.1", "a/b", "2024-01-02", "1.50"]
    assert read_image_table(frame).rows["label"].to_pylist() == wanted
    for missing in (float("nan"), None, pd.NA, pd.NaT):
        frame = pd.DataFrame({"path": [str(image)] * 2, "label": ["a", "b"], "group": ["p", missing]})
        assert read_image_table(frame).rows["group"].to_pylist() == ["p", None]
    whole = pd.DataFrame({"path": [str(image)] * 2, "label": [0, 1], "ok": [True, False]})
    assert read_image_table(whole).rows["label"].to_pylist() == ["0", "1"]
    assert listed(whole, image.parent)["label"].to_pylist() == ["0", "1"]


def test_numbers_of_arrow_are_shown_as_they_were_written(image):
    float32 = pa.table({"path": [str(image)] * 2, "label": pa.array([0.1, 1.0], pa.float32())})
    assert read_image_table(float32).rows["label"].to_pylist() == ["0.1", "1.0"]
    flags = pa.table({"path": [str(image)] * 2, "label": [True, False], "when": pa.array([0, 1], pa.timestamp("ns"))})
    assert read_image_table(flags).rows["label"].to_pylist() == ["True", "False"]
    assert read_image_table(vitrail.table(flags, label="when")).rows["label"].to_pylist()[0] == "1970-01-01"


def test_the_store_of_features_keeps_such_labels_when_it_is_written_and_read_again(image, tmp_path):
    file = tmp_path / "t.csv"
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    file.write_text("path,label,split\n0.png,NA,train\n1.png,null,val\n2.png,,\n")
    for _ in range(2):  # the second call takes labels over into rows that are there
        vitrail.write_features("test_vit", file, out=tmp_path / "store", workers=0, image_size=32, pretrained=False)
        store = vitrail.open_features(tmp_path / "store")
        assert (store.labels, store.splits) == (["NA", "null", None], ["train", "val", None])


@pytest.mark.parametrize("kind", ["list", "bytes", "struct"])
def test_labels_that_are_no_single_value_are_refused(kind, image):
    values = {"list": [["a", "b"]], "bytes": [b"\xff\xfe"], "struct": [{"a": 1}]}[kind]
    with pytest.raises(InputError) as refusal:
        read_image_table(pa.table({"path": [str(image)], "label": values}))
    assert "the table: column 'label' holds " in str(refusal.value)
    assert refusal.value.hint == "a row is one image with one label: give this column one plain value per row"


def test_columns_that_hold_no_single_value_and_that_nobody_uses_are_left_out(image):
    table = pa.table(
        {
            "path": [str(image)] * 2,
            "label": pa.array(["a", "b"], pa.large_string()),
            "boxes": [[1, 2], []],
            "mask": [{"bytes": b"x", "path": "y"}] * 2,
            "raw": [b"\xff", b"\xfe"],
            "site": pa.array(["x", "y"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    pq.write_table(table, image.with_name("t.parquet"))
    for data in (table, image.with_name("t.parquet")):
        rows = read_image_table(data).rows
        assert rows.column_names == ["path", "frame", "label", "split", "group", "site", "nothing"]
        assert rows["site"].to_pylist() == ["x", "y"]


def test_column_names_that_repeat_or_are_empty_do_no_harm_unless_they_are_meant(image):
    file = image.with_name("t.csv")
    file.write_text(",path,label,note,note,\n0,a.png,x,1,2,3\n")
    assert read_image_table(file).rows.column_names[5:] == ["column 1", "note", "note (2)", "column 6"]
    frame = pd.DataFrame([[str(image), "x", 1, 2]], columns=["path", "label", "note", "note"])
    assert read_image_table(frame).rows.column_names[5:] == ["note", "note (2)"]
    file.write_text("path,label,label\na.png,x,y\n")
    for read in (read_image_table, lambda data: listed(data, image.parent)):
        with pytest.raises(InputError) as refusal:
            read(file)
        assert str(refusal.value) == (
            f"{file}: the column 'label' stands there several times\n"
            "hint: give one of them another name: which one is meant cannot be known"
        )


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "path,label\na.png,größe\n"),
        ("utf-8-sig", "path,label\na.png,größe\n"),
        ("utf-16", "path;label\r\na.png;größe\r\n"),
        ("utf-16-le", "path\tlabel\na.png\tgröße\n"),
        ("utf-32", "path,label\na.png,größe\n"),
        ("utf-8", "sep=;\npath;label\na.png;größe\n"),
        ("utf-16", "sep=;\r\npath;label\r\na.png;größe\r\n"),
        ("utf-8", '"sep=|"\npath|label\na.png|größe\n'),
        ("utf-8", "\n\n path , label \na.png,größe\n"),
        ("utf-8", '"path","label"\n"a.png","größe"'),
        ("utf-8", "path,label\r\na.png,größe\r\n\r\n"),
        ("utf-8", "path,label\ra.png,größe\r"),
    ],
)
def test_tables_are_read_whoever_wrote_them(encoding, text, image):
    file = image.with_name("t.csv")
    file.write_bytes(text.encode(encoding))
    assert read_image_table(file).rows["label"].to_pylist() == ["größe"]
    assert listed(file, image.parent)["label"].to_pylist() == ["größe"]


def test_line_breaks_and_quotation_marks_in_cells_belong_to_them(image):
    file = image.with_name("t.csv")
    file.write_text('path,label,note\na.png,"a ""b""","one\ntwo, three"\na.png,c,\n')
    rows = read_image_table(file).rows
    assert rows["label"].to_pylist() == ['a "b"', "c"]
    assert rows["note"].to_pylist() == ["one\ntwo, three", None]


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("path,label\na.png,größe\n".encode("latin-1"), "is not written in UTF-8: byte 0xf6 in line 2", "iconv -f"),
        (b"", "the table is empty", "its first line names the columns: path,label"),
        (b"path,label\n", "no images found, it has no rows", "expected a row for every image"),
        (b"path,label,split\na.png,x,0\n", "t.csv: column 'split' holds '0'", "use train, val or test"),
        (b"a.png,cat\na.png,dog\n", "no column 'path'", "the first line names an image already"),
        (b"filename,class\na.png,x\n", "no column 'path'", "--columns path=filename,label=class"),
        (b"path,label\na.png,x,y\n", "Row #2: Expected 2 columns, got 3", "named row"),
        (b"path,label\na.png,x\0y\n", "holds NUL characters in row 1", "write it again as UTF-8"),
        (b"PK\3\4\0\0\0\0\0\0path", "not a text but binary data", "save the sheet as CSV"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(content, message, hint, image):
    file = image.with_name("t.csv")
    file.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read_image_table(file)
    assert message in refusal.value.message
    assert hint in refusal.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("data.zip", "unzip '{file}' -d '{folder}', then give {folder}"),
        ("data.tar.gz", "tar -xf"),
        ("data.xlsx", "save the sheet as CSV (UTF-8) and give that"),
        ("cat.jpg", "that is a single image"),
        ("data.json", "give a folder of class folders, or a table"),
    ],
)
def test_a_file_that_is_no_table_gets_the_hint_that_fits(name, hint, tmp_path):
    file = tmp_path / name
    file.write_bytes(b"x")
    with pytest.raises(InputError) as refusal:
        read_image_table(file)
    assert refusal.value.message == f"{file}: a file that is neither .csv, .tsv nor .parquet"
    assert hint.format(file=file, folder=file.with_suffix("")) in refusal.value.hint


def png(seed):
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_inside_a_table_of_hugging_face_are_read_and_their_classes_have_names(tmp_path, image):
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    notes = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    images = [{"bytes": png(n), "path": None if n % 2 else f"../{n}.png"} for n in range(4)]
    images[3] = {"bytes": None, "path": "a.png"}
    table = pa.table({"image": images, "label": [0, 1, 0, 1]}).replace_schema_metadata(notes)
    pq.write_table(table, tmp_path / "train.parquet")
    rows = read_image_table(tmp_path / "train.parquet").rows
    assert rows["label"].to_pylist() == ["cat", "dog", "cat", "dog"]
    assert rows["path"][3].as_py() == str(tmp_path / "a.png")
    for n, path in enumerate(rows["path"].to_pylist()[:3]):
        assert Path(path).read_bytes() == png(n)
        assert Path(path).name.startswith(hashlib.sha256(png(n)).hexdigest()[:32])
    assert listed(tmp_path / "train.parquet", tmp_path)["path"].to_pylist() == rows["path"].to_pylist()
    frame = pd.read_parquet(tmp_path / "train.parquet")[:3]
    assert read_image_table(frame).rows["path"].to_pylist() == rows["path"].to_pylist()[:3]
    plain = pa.table({"picture": [png(0)], "label": ["a"]})
    named = vitrail.table(plain, path="picture")
    assert Path(read_image_table(named).rows["path"][0].as_py()).read_bytes() == png(0)


def test_of_two_columns_with_images_one_is_to_be_named(tmp_path):
    table = pa.table({"image": [{"bytes": png(0)}], "mask": [{"bytes": png(1)}], "label": ["a"]})
    with pytest.raises(InputError) as refusal:
        read_image_table(table)
    assert str(refusal.value) == (
        "the table: no column 'path', and 2 that hold images: image, mask\n"
        "hint: say which it is, e.g. --columns path=image"
    )
    assert len(read_image_table(vitrail.table(table, path="mask"))) == 1


def test_images_of_a_data_set_inside_a_table_are_checked_like_files(tmp_path):
    images = [{"bytes": png(n), "path": None} for n in (0, 0, 1, 2)]
    found = vitrail.check(pa.table({"image": images, "label": ["a", "b", "a", "b"]}), workers=0)
    assert "duplicate-across-classes" in {finding.code for finding in found.findings}


MISSES = [
    ("cat\\000.png", "are written with backslashes, as Windows does", "write /"),
    ("C:\\data\\cat\\000.png", "are paths of another computer, written as Windows does; cat/000.png is there",
     "str.removeprefix('C:/data/')"),
    ("/home/eve/data/cat/000.png", "are paths of another computer; cat/000.png is there",
     "table['path'].str.removeprefix('/home/eve/data/')"),
    ("cat/000", "are written without the extension: 000.png is there", "table['path'] + '.png'"),
    ("cat/000.jpg", "have another extension: 000.png is there", ".str.replace('.jpg', '.png')"),
    ("cat/000.PNG", "have another extension: 000.png is there", ".str.replace('.PNG', '.png')"),
    ("cat/Grün.png", "have accents in another form: 'Gr\\xfcn.png' in the table", "convmv"),
    ("cat/GrÃ¶ÃŸe.png", "were read in another encoding: cat/Größe.png is there", "encode('cp1252').decode('utf-8')"),
    ("cat/Gr\ufffd\ufffde.png", "have letters that were lost", "write the table again as UTF-8"),
    ("CAT.png", "are written in other capitals and small letters: cat.png is there", "write the names as"),
    (" cat/000.png", "have spaces or quotation marks around their names", "take them away"),
    ("'cat/000.png'", "have spaces or quotation marks around their names", "take them away"),
    ("https://example.org/cat.png", "are addresses, not files", "download them first"),
    ("000.png", "lie in the folder cat", "'cat/' + table['path']"),
    ("000", "lie in the folder cat and have an extension", "'cat/' + table['path'] + '.png'"),
    ("set/cat/000.png", "begin with set/, which is not there; cat/000.png is there", "removeprefix('set/')"),
    ("link.png", "are links to nowhere (gone.png)", "restore what they point to"),
    ("x" * 5000, "have names that no disk can hold (5,000 characters)", "right column"),
    ("/nowhere/at/all.png", "are absolute paths, and there is no folder /nowhere/at", "write them relative"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "words", "hint"), MISSES, ids=[miss[0][:20] for miss in MISSES])
def test_images_that_are_not_found_are_told_with_the_cause_and_what_to_type(written, words, hint, write_images):
    folder = write_images({"cat": 1})
    for name in ("cat/Gru\u0308n.png", "cat/Größe.png", "cat.png"):
        picture(7).save(folder / name)
    (folder / "link.png").symlink_to("gone.png")
    pd.DataFrame({"path": [written, "cat/000.png"], "label": ["a", "b"]}).to_csv(folder / "t.csv", index=False)
    with pytest.raises(InputError) as refusal:
        read_image_table(folder / "t.csv")
    assert f"t.csv: 1 of 2 images do not exist:\n  - {folder}"[:30] in refusal.value.message or words in str(
        refusal.value
    )
    assert f"\nthey {words}" in refusal.value.message
    assert hint in refusal.value.hint
    assert len(refusal.value.message) < 1500


def test_paths_beside_the_current_folder_are_told_from_those_beside_the_table(write_images, monkeypatch, tmp_path):
    folder = write_images({"cat": 1})
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "t.csv").write_text("path,label\nimages/cat/000.png,a\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refusal:
        read_image_table("tables/t.csv")
    assert f"they are relative to the current folder, not to the table's ({tmp_path / 'tables'})" in str(refusal.value)
    assert folder.exists()


def test_a_name_from_another_encoding_in_a_frame_is_written_and_not_a_traceback(tmp_path):
    (tmp_path / "ok.png").write_bytes(b"x")
    frame = pd.DataFrame({"path": [str(tmp_path / "ok.png"), "gr\udcfcn.png"], "label": ["a", "b\udce4"]}, dtype=object)
    with pytest.raises(InputError, match=r"1 of 2 images do not exist:\n  - .*gr\\xfcn.png"):
        read_image_table(frame)


def test_the_parts_of_one_table_are_read_together_and_their_names_say_the_split(tmp_path, image):
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    for part in ("train-00000-of-00002", "train-00001-of-00002-0a1b2c", "test-00000-of-00001"):
        pq.write_table(pa.table({"path": [str(image)] * 2, "label": ["a", "b"]}), folder / "data" / f"{part}.parquet")
    (folder / "README.md").touch()
    rows = read_image_table(folder).rows
    assert rows["split"].to_pylist() == ["test"] * 2 + ["train"] * 4
    listed = ImageList.write(folder, tmp_path / "list.arrow")
    assert listed.rows(np.arange(6))["split"].to_pylist() == rows["split"].to_pylist()
    (folder / "data" / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="of the 2 parts of train, 1 are not there\nhint: fetch the missing"):
        read_image_table(folder)
