"""How other people put images into folders: splits under many names, one folder too many, other programs' things."""

import os
import shutil
import subprocess

import numpy as np
import pytest

import vitrail
from tests.conftest import picture
from vitrail.basics.errors import InputError
from vitrail.data.folder_names import splits_of
from vitrail.data.image_list import ImageList
from vitrail.data.image_paths import image_paths
from vitrail.data.image_table import read_image_table
from vitrail.data.inspection.passed_over_files import passed_over_findings


@pytest.fixture
def images(tmp_path):
    """Puts one image at each of the paths below a folder, and returns that folder."""
    picture(0, size=(32, 32)).save(tmp_path / "one.png")

    def put(*paths):
        for path in paths:
            (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tmp_path / "one.png", tmp_path / "data" / path)
        return tmp_path / "data"

    return put


def tree(*folders, classes=("cat", "dog")):
    return [f"{folder}/{label}/0.png" for folder in folders for label in classes]


def found(folder):
    rows = read_image_table(folder).rows
    return set(zip(rows["split"].to_pylist(), rows["label"].to_pylist(), strict=True))


def refusal_of(folder):
    with pytest.raises(InputError) as refusal:
        read_image_table(folder)
    return refusal.value


PAIRS = [
    ("training_set", "test_set"), ("Training", "Testing"), ("TRAIN", "TEST"), ("train_images", "test_images"),
    ("seg_train", "seg_test"), ("trainset", "testset"), ("TrainData", "TestData"), ("images_train", "images_test"),
    ("train2017", "test2017"), ("train-set", "test-set"), ("chest_xray_train", "chest_xray_test"), ("train", "test"),
    ("1 training", "1 testing"),
]  # fmt: skip


@pytest.mark.parametrize("names", PAIRS, ids="+".join)
def test_splits_are_known_under_the_names_that_data_sets_have(names, images):
    train, test = names
    wanted = {("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")}
    assert found(images(*tree(train, test))) == wanted


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Validation", "valid_set", "val_data", "devset"])
def test_validation_has_many_names(name, images):
    assert ("val", "dog") in found(images(*tree("train", name)))


def test_a_split_that_is_said_twice_and_an_outer_folder_around_splits_are_gone_through(images):
    folder = images(*tree("Intel/seg_train/seg_train", "Intel/seg_test/seg_test"))
    assert found(folder) == {("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")}
    assert found(folder) == found(folder / "Intel")


@pytest.mark.parametrize(
    "names", [("trainer", "tester"), ("test tube", "train car", "cat"), ("cat", "dog"), ("red train", "blue train")]
)
def test_classes_that_are_not_called_like_splits_stay_classes(names, images):
    assert splits_of(names) == {}
    assert found(images(*(f"{name}/0.png" for name in names))) == {(None, name) for name in names}


def test_splits_below_the_classes_are_refused_with_a_command_that_makes_the_table(images):
    folder = images(*tree("cat", "dog", classes=("train", "test")))
    refusal = refusal_of(folder)
    assert refusal.message == (
        f"{folder}: 2 folders (cat, dog) hold the same folders (test, train): which of both are the classes cannot "
        "be known"
    )
    command = refusal.hint.partition("write a table: ")[2].partition(", and give it")[0]
    subprocess.run(["bash", "-c", command], check=True)
    wanted = {(split, label) for split in ("train", "test") for label in ("cat", "dog")}
    assert found(folder / "labels.csv") == wanted


def test_the_same_folders_in_every_class_are_refused_with_commands_for_both_readings(images):
    faces = [f"f{number}" for number in range(7)]
    folder = images(*tree("session1", "session2", "session3", classes=faces))
    refusal = refusal_of(folder)
    assert "3 folders (session1, session2, session3) hold the same folders (f0, f1, f2, f3, … (7))" in refusal.message
    assert "if f0 is one, the same with $2 for $1" in refusal.hint
    command = refusal.hint.partition("write a table: ")[2].partition(", and give it")[0]
    subprocess.run(["bash", "-c", command.replace("$1", "$2")], check=True)
    assert found(folder / "labels.csv") == {(None, face) for face in faces}


def test_a_folder_of_several_data_sets_is_no_data_set(images):
    folder = images(*tree("pets/train", "pets/val"), *tree("cars"))
    refusal = refusal_of(folder)
    assert refusal.message == f"{folder}: pets holds splits (train, val), as a data set does, not a class"
    assert refusal.hint == f"give one data set alone: {folder / 'pets'}"


def test_images_beside_masks_in_every_class_are_refused(images):
    folder = images(*tree("covid", "normal", classes=("images", "masks")))
    assert "keep images alone in every class, or write a table" in refusal_of(folder).hint
    shutil.rmtree(folder)
    folder = images(*tree("images", "masks"))
    assert "called like parts of a data set, not like classes: images, masks" in refusal_of(folder).message


def test_patients_below_classes_are_no_reason_to_stop(images):
    folder = images(*(f"cat/p{n}/0.png" for n in range(12)), *(f"dog/p{n}/0.png" for n in range(8, 20)))
    assert found(folder) == {(None, "cat"), (None, "dog")}
    assert found(images("cow/images/0.png", "owl/images/0.png")) >= {(None, "cow"), (None, "owl")}


@pytest.mark.parametrize("names", [("train_1", "train_2", "test_1"), ("my_test_x", "old_train_y")])
def test_folders_that_have_splits_in_their_names_and_more_are_no_classes(names, images):
    refusal = refusal_of(images(*tree(*names)))
    assert "the folders are called like splits, not like classes: " in refusal.message


@pytest.mark.parametrize("names", [("fold1", "fold2", "fold3"), ("Fold_0", "Fold_1"), ("split-1", "split-2")])
def test_folds_are_no_classes(names, images):
    refusal = refusal_of(images(*tree(*names)))
    assert f"like folds of a cross-validation, not like classes: {', '.join(names)}" in refusal.message
    assert f"rename {names[-1]} to val" in refusal.hint


def test_one_folder_too_many_is_told(images):
    folder = images(*tree("archive"))
    refusal = refusal_of(folder)
    assert str(refusal) == (
        f"{folder}: there is one folder, archive, and inside are 2: cat, dog\n"
        f"hint: if these are the classes, go one level down: give {folder / 'archive'}"
    )
    assert found(folder / "archive") == {(None, "cat"), (None, "dog")}


def test_a_table_that_lies_beside_the_images_is_offered(images):
    folder = images("images/0.png", "images/1.png")
    (folder / "labels.csv").write_text("path,label\nimages/0.png,a\n")
    hint = f"does labels.csv say the classes? Then give it: vitrail check {folder / 'labels.csv'}"
    assert refusal_of(folder).hint == hint
    shutil.rmtree(folder / "images")
    images("0.png")
    assert refusal_of(folder).hint == hint


def test_a_flat_folder_of_images_for_later_beside_splits_is_told(images):
    folder = images(*tree("train"), "test/1.png", "test/2.png")
    refusal = refusal_of(folder)
    assert refusal.message == f"{folder / 'test'}: 2 images lie outside any class folder, the first is 1.png"
    assert refusal.hint.startswith(f"images without a class are for later: move test out of {folder}")
    shutil.rmtree(folder)
    folder = images(*tree("seg_train", "seg_test"), "pred/1.png")
    assert "stand beside other folders (pred)" in refusal_of(folder).message
    assert "move pred out of" in refusal_of(folder).hint


def test_a_class_called_train_is_refused_with_the_way_out(images):
    folder = images("bus/0.png", "train/0.png", "plane/0.png")
    assert "if train is a class, give a table with the columns path and label" in refusal_of(folder).hint


JUNK = [
    "__MACOSX/cat/._0.png", "__MACOSX/cat/0.png", ".ipynb_checkpoints/0-checkpoint.png", "cat/._0.png",
    "cat/.ipynb_checkpoints/0-checkpoint.png", "cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/0.png",
    "$RECYCLE.BIN/0.png", "System Volume Information/x.png", "wandb/run-1/media/0.png", "mlruns/0/1/artifacts/0.png",
    "lightning_logs/version_0/0.png", "cat/.thumbnails/0.png", "__pycache__/x.png",
]  # fmt: skip


@pytest.mark.parametrize("under", ["", "train/"])
def test_what_other_programs_put_beside_images_is_no_image_no_class_and_no_split(under, images):
    folder = images(*tree(*(["train", "val"] if under else ["."])))
    before = found(folder), len(read_image_table(folder)), len(image_paths([folder]))
    images(*(under + junk for junk in JUNK), *JUNK[:3])
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (folder / under / "cat" / name).write_bytes(b"x")
    (folder / "_annotations").mkdir()
    table = read_image_table(folder)
    assert (found(folder), len(table), len(image_paths([folder]))) == before
    assert set(table.ignored) <= {"images in wandb/", "images in mlruns/", "images in lightning_logs/"}
    assert set(table.empty_classes) <= {"_annotations"}


@pytest.mark.parametrize("splits", [["train", "val"], ["."]])
def test_runs_and_stores_inside_the_data_folder_are_none_of_the_images(splits, images, monkeypatch):
    folder = images(*tree(*splits))
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        picture(number, size=(32, 32)).save(path)
        picture(100 + number, size=(32, 32)).save(path.with_name("1.png"))
    monkeypatch.chdir(folder)
    before = found("."), len(read_image_table("."))
    tiny = {"workers": 0, "pretrained": False, "image_size": 32}
    for out in ("runs/data", "runs/data-2"):
        assert str(vitrail.fit(".", model="test_vit", preset="quick", **tiny).run) == out
    for _ in range(2):
        vitrail.write_features("test_vit", ".", out="features", **tiny)
    assert (found("."), len(read_image_table("."))) == before
    assert read_image_table(".").empty_classes == ()
    assert len(vitrail.open_features("features")) == before[1]
    assert set(vitrail.open_features("features").labels) == {"cat", "dog"}


def test_features_of_folders_that_are_no_classes_have_no_labels(images, tmp_path):
    folder = images(*tree("2019", "2020", classes=("01", "02")))
    listed = ImageList.write(folder, tmp_path / "list.arrow")
    assert (len(listed), listed.labelled) == (4, 0)


@pytest.mark.parametrize("name", ["data.zip", "data.tar.gz"])
def test_a_folder_that_holds_an_archive_alone_says_to_unpack_it(name, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"unpack {name} first"):
        read_image_table(tmp_path)


def test_folders_whose_names_are_not_utf_8_are_listed_by_features_and_told_by_check(images, tmp_path):
    folder = images("cat/0.png", "dog/0.png")
    os.rename(os.fsencode(folder / "cat"), os.fsencode(folder) + b"/gr\xfcn")
    listed = ImageList.write(folder, tmp_path / "list.arrow")
    assert set(listed.rows(np.arange(2))["label"].to_pylist()) == {"gr\\xfcn", "dog"}
    assert "1 file name is not valid UTF-8" in refusal_of(folder).message
    os.rename(os.fsencode(folder), os.fsencode(folder) + b"\xfc")
    shutil.rmtree(os.fsencode(folder) + b"\xfc/gr\xfcn")
    with pytest.raises(InputError, match="not valid UTF-8"):
        read_image_table(os.fsdecode(os.fsencode(folder) + b"\xfc"))


def test_a_class_called_like_a_folder_of_a_tool_is_one_where_it_holds_nothing_but_images(images):
    folder = images("cat/0.png", "dog/0.png", "wandb/0.png", "mlruns/0/artifacts/1.png", "mlruns/0/artifacts/2.png")
    table = read_image_table(folder)
    assert table.classes == ["cat", "dog", "wandb"]
    assert table.passed_over == {"": {"images in mlruns/": 2}}
    (finding,) = passed_over_findings(table.passed_over)
    assert finding.severity == "note"
    assert "2 × images in mlruns/" in finding.title
    assert "give it another name" in finding.hint


def test_a_class_folder_with_a_package_of_ours_in_it_is_left_out_with_a_word(images):
    folder = images("cat/0.png", "dog/0.png", "owl/0.png")
    (folder / "owl" / "vitrail.json").touch()
    table = read_image_table(folder)
    assert table.classes == ["cat", "dog"]
    assert table.passed_over == {"": {"images in owl/": 1}}


def test_patients_that_do_not_all_have_every_class_are_no_classes(images):
    everyone = [f"p{n}/{label}/0.png" for n, label in enumerate(["pos", "neg", "pos", "neg"])]
    folder = images(*everyone)
    assert "4 folders (p0, p1, p2, p3) hold the same folders (neg, pos)" in refusal_of(folder).message
    assert "if neg is one, the same with $2 for $1" in refusal_of(folder).hint
    images(*everyone, "p0/neg/0.png", "p1/pos/0.png")
    assert "hold the same folders (neg, pos)" in refusal_of(folder).message


@pytest.mark.parametrize(
    "paths",
    [
        ["animals/cat/0.png", "animals/dog/0.png", "plants/oak/0.png", "plants/rose/0.png"],
        ["cat/a/0.png", "cat/b/0.png", "dog/0.png", "owl/a/0.png"],
        ["cat/x/0.png", "dog/x/0.png", "owl/x/0.png"],
    ],
)
def test_classes_with_subfolders_of_their_own_are_classes(paths, images):
    assert read_image_table(images(*paths)).classes == sorted({path.split("/")[0] for path in paths})


def test_several_outer_folders_are_gone_through_in_the_hint(images):
    folder = images("a/b/c/cat/0.png", "a/b/c/dog/0.png")
    assert refusal_of(folder).hint.endswith(f"go one level down: give {folder}/a/b/c")


def test_the_hint_for_a_flat_folder_of_telling_names_writes_a_table(images):
    folder = images("cat.0.png", "cat.1.png", "dog_0.png", "dog_1.png")
    command = refusal_of(folder).hint.split("write a table: ")[1].removesuffix(", and give it")
    (folder / "labels.csv").touch()  # a second time
    subprocess.run(command, shell=True, check=True)
    assert found(folder / "labels.csv") == {(None, "cat"), (None, "dog")}
    assert len(read_image_table(folder / "labels.csv")) == 4
